"""alipay-sdk-python (the official one, PyPI) signs through Pintle: there is no private key in this process.

Needs grpcio-tools, and Pintle's proto/ on sys.path. PINTLE, APP_KEY, ALIPAY_KEY: where, and with which keys.
In AlipayClientConfig: app_private_key = "in Pintle". The scheme is the key's; sign_type must say the same.
"""

import base64
import os

import alipay.aop.api.DefaultAlipayClient as sdk
import grpc

messages, services = grpc.protos_and_services("pintle/v1/signing_service.proto")
channel = grpc.insecure_channel(os.environ.get("PINTLE", "127.0.0.1:50551"))  # production: secure_channel, mTLS
signing = services.SigningServiceStub(channel)
APP_KEY = {"name": os.environ.get("APP_KEY", "alipay-app-rsa2")}
ALIPAY_KEY = {"name": os.environ.get("ALIPAY_KEY", "alipay-rsa2")}
own_check = sdk.verify_with_rsa


def sign(_private_key, content, charset):
    request = messages.SignRequest(key=APP_KEY, message=content.encode(charset))
    return signing.Sign(request, timeout=5).base64


def verify(public_key, content, signature):
    """Pintle first: its key names the hash, where the SDK lets the signature choose. The SDK's own stays."""
    signature_bytes = base64.b64decode(signature)
    request = messages.VerifyRequest(key=ALIPAY_KEY, message=content, signature=signature_bytes)
    return signing.Verify(request, timeout=5).valid and own_check(public_key, content, signature)


sdk.sign_with_rsa = sdk.sign_with_rsa2 = sign
sdk.verify_with_rsa = verify
