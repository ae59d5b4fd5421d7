"""Content encryption of alipay-sdk-python by Pintle: no process has the key, and the SDK's own fails under Python 3.

Import it after alipay_sdk_python. In AlipayClientConfig: encrypt_type = "AES", encrypt_key = "in Pintle".
CONTENT_KEY: which key; its policy's form must be AES.
"""

import os

import grpc
from alipay_sdk_python import channel, sdk

messages = grpc.protos("pintle/v1/alipay_content.proto")
alipay = grpc.services("pintle/v1/alipay_service.proto").AlipayServiceStub(channel)
KEY = {"name": os.environ.get("CONTENT_KEY", "alipay-content")}


def encrypt(content, _encrypt_type, _encrypt_key, charset):
    request = messages.EncryptContentRequest(key=KEY, data=content.encode(charset))
    return alipay.EncryptContent(request, timeout=5).content


def decrypt(content, _encrypt_type, _encrypt_key, charset):
    request = messages.DecryptContentRequest(key=KEY, content=content)
    return alipay.DecryptContent(request, timeout=5).data.decode(charset)


sdk.encrypt_content, sdk.decrypt_content = encrypt, decrypt
