"""python-alipay-sdk (PyPI) signs through Pintle: there is no private key in this process.

Needs grpcio-tools, and Pintle's proto/ on sys.path. PINTLE, APP_KEY, ALIPAY_KEY: where, and with which keys.
"""

import os

import grpc
from alipay import AliPay
from Cryptodome.PublicKey import RSA

messages, services = grpc.protos_and_services("pintle/v1/signing_service.proto")
alipay_messages, alipay_services = grpc.protos_and_services("pintle/v1/alipay_service.proto")
channel = grpc.insecure_channel(os.environ.get("PINTLE", "127.0.0.1:50551"))  # production: secure_channel, mTLS
signing = services.SigningServiceStub(channel)
alipay = alipay_services.AlipayServiceStub(channel)
APP_KEY = {"name": os.environ.get("APP_KEY", "alipay-app-rsa2")}
ALIPAY_KEY = {"name": os.environ.get("ALIPAY_KEY", "alipay-rsa2")}


class PintleAliPay(AliPay):
    def _load_key(self):
        self._app_private_key = None
        self._alipay_public_key = RSA.importKey(self._alipay_public_key_string)

    def _sign(self, unsigned_string):
        request = messages.SignRequest(key=APP_KEY, message=unsigned_string.encode())
        return signing.Sign(request, timeout=5).base64

    def _verify_and_return_sync_response(self, raw_string, response_type):
        """Pintle first: it reads bodies that the SDK cuts wrongly. The SDK's own check stays."""
        body = raw_string.encode()
        request = alipay_messages.VerifyResponseRequest(key=ALIPAY_KEY, body=body, node=response_type)
        if not alipay.VerifyResponse(request, timeout=5).valid:
            raise ValueError("Alipay's signature does not verify")
        return super()._verify_and_return_sync_response(raw_string, response_type)
