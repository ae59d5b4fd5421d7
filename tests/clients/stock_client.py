"""A stock gRPC client: knows nothing of Pintle but an address, learns the rest by reflection.

Lists the services, then calls some of them by descriptors fetched from the server.
Usage: stock_client.py HOST:PORT
"""

import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

EXPECTED = {
    "pintle.v1.AlipayService",
    "pintle.v1.MacService",
    "pintle.v1.PinService",
    "pintle.v1.RandomService",
    "pintle.v1.SigningService",
    "pintle.v1.UnionPayGatewayService",
    "pintle.v1.WechatPayService",
}


def main(address):
    channel = grpc.insecure_channel(address)
    database = ProtoReflectionDescriptorDatabase(channel)
    services = set(database.get_services())
    print("services:", ", ".join(sorted(services)))
    missing = EXPECTED - services
    assert not missing, f"not listed: {missing}"
    pool = descriptor_pool.DescriptorPool(database)

    def call(service, method, **fields):
        found = pool.FindServiceByName(service).FindMethodByName(method)
        request = message_factory.GetMessageClass(found.input_type)
        answer = message_factory.GetMessageClass(found.output_type)
        rpc = channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=answer.FromString,
        )
        return rpc.with_call(request(**fields), timeout=5)

    random, made = call("pintle.v1.RandomService", "GenerateRandom", length=32)
    assert len(random.random) == 32 and any(random.random), "32 random bytes were asked for"
    marks = dict(made.initial_metadata() or ()) | dict(made.trailing_metadata() or ())
    assert marks.get("x-pintle-environment") == "development", f"not marked: {marks}"

    mac, _ = call("pintle.v1.MacService", "GenerateMac", key={"name": "tak-pos-0001"}, message=b"0200")
    verdict, _ = call(
        "pintle.v1.MacService", "VerifyMac",
        key={"name": "tak-pos-0001"}, message=b"0200", mac=mac.mac,
    )
    assert verdict.valid, "a MAC just made must verify"
    public, _ = call("pintle.v1.SigningService", "GetPublicKey", key={"name": "alipay-app-rsa2"})
    assert public.base64.startswith("MII"), "an RSA public key in base64"
    signed, _ = call(
        "pintle.v1.AlipayService", "SignRequest",
        key={"name": "alipay-app-rsa2"},
        parameters={"app_id": "2021000000000001", "sign_type": "RSA2", "method": "alipay.trade.query"},
        return_string_to_sign=True,
    )
    verdict, _ = call(
        "pintle.v1.SigningService", "Verify",
        key={"name": "alipay-app-rsa2"},
        message=signed.string_to_sign, signature=__import__("base64").b64decode(signed.sign),
    )
    assert verdict.valid, "a signature just made must verify"

    try:
        call("pintle.v1.MacService", "GenerateMac", key={"name": "no-such-key"}, message=b"x")
    except grpc.RpcError as refused:
        assert refused.code() == grpc.StatusCode.NOT_FOUND, refused
    else:
        raise AssertionError("an unknown key was accepted")
    print("calls: ok")


main(sys.argv[1])
