"""A day of a gateway with one of Alipay's Python SDKs, for tests/clients/sdks.py, which sets the environment.

Prints `step<TAB>result` lines; a result other than those that begin with `ok` or `known` is a failure.
"""

import http.server
import os
import queue
import sys
import threading
import time
import urllib.parse
import urllib.request

sdk_name = sys.argv[1]
gateway, tricky, scheme = os.environ["GATEWAY"], os.environ["TRICKY"], os.environ["SCHEME"]
charset = os.environ.get("CHARSET", "utf-8")
# Without it only the SDK checks the answers: `pintle dev` has no key of Alipay's for SHA-1.
ALIPAY_KEY = os.environ.get("ALIPAY_KEY")
OK = "ok" if ALIPAY_KEY else "ok, answer checked by the SDK alone"
APP_ID = "2021000000000001"
BRACE_BUG = "known: the SDK refuses this body, its brace bug" + ("; Pintle accepts it" if ALIPAY_KEY else "")
HUABEI = {"hb_fq_num": "6", "hb_fq_seller_percent": "100"}
notifications = queue.Queue()


class Shop(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        notifications.put(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"success")

    def log_message(self, *_):
        pass


def alipay_key():
    import json

    return json.load(urllib.request.urlopen(f"{gateway}/keys"))["rsa"]


class Third:
    """python-alipay-sdk."""

    def __init__(self, at):
        import python_alipay_sdk as snippet

        self.snippet = snippet
        pem = f"-----BEGIN PUBLIC KEY-----\n{alipay_key()}\n-----END PUBLIC KEY-----"
        if not ALIPAY_KEY:
            check = snippet.AliPay._verify_and_return_sync_response
            snippet.PintleAliPay._verify_and_return_sync_response = check
        self.sdk = snippet.PintleAliPay(APP_ID, None, "", pem, sign_type=scheme)
        self.sdk._gateway = f"{at}/gateway.do"

    def pay(self, no, notify_url):
        return self.sdk.api_alipay_trade_pay(
            no, "bar_code", "280000000000000001", "咖啡 a&b=%+\"\\", notify_url=notify_url,
            total_amount="100.00", extend_params=HUABEI,
        )

    def precreate(self, no):
        return self.sdk.api_alipay_trade_precreate("花呗", no, "100.00", extend_params=HUABEI)

    def query(self, no):
        return self.sdk.api_alipay_trade_query(out_trade_no=no)

    def cancel(self, no):
        return self.sdk.api_alipay_trade_cancel(out_trade_no=no)

    def refund(self, no):
        return self.sdk.api_alipay_trade_refund("100.00", out_trade_no=no)

    def own_check(self, form):
        sign = form.pop("sign")
        return self.sdk.verify(form, sign)


class Official:
    """alipay-sdk-python."""

    def __init__(self, at):
        import http.client

        import alipay_sdk_python as snippet
        from alipay.aop.api.AlipayClientConfig import AlipayClientConfig
        from alipay.aop.api.util import WebUtils

        self.snippet = snippet
        if not ALIPAY_KEY:
            snippet.sdk.verify_with_rsa = snippet.own_check
        address = urllib.parse.urlparse(at)

        def connection(url, query, timeout):
            """The SDK's own takes no port."""
            path = urllib.parse.urlparse(url).path
            return f"{path}?{query}", http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)

        WebUtils.get_http_connection = connection
        config = AlipayClientConfig()
        config.server_url = f"{at}/gateway.do"
        config.app_id, config.app_private_key = APP_ID, "in Pintle"
        config.alipay_public_key, config.sign_type, config.charset = alipay_key(), scheme, charset
        self.sdk = snippet.sdk.DefaultAlipayClient(config)

    def call(self, noun, notify_url=None, **content):
        import importlib
        import json

        name = f"AlipayTrade{noun}Request"
        request = getattr(importlib.import_module(f"alipay.aop.api.request.{name}"), name)()
        request.biz_content, request.notify_url = content, notify_url
        return json.loads(self.sdk.execute(request))

    def pay(self, no, notify_url):
        return self.call(
            "Pay", notify_url, out_trade_no=no, scene="bar_code", auth_code="280000000000000001",
            subject="咖啡 a&b=%+\"\\", total_amount="100.00", extend_params=HUABEI,
        )

    def precreate(self, no):
        return self.call("Precreate", out_trade_no=no, subject="花呗", total_amount="100.00", extend_params=HUABEI)

    def query(self, no):
        return self.call("Query", out_trade_no=no)

    def cancel(self, no):
        return self.call("Cancel", out_trade_no=no)

    def refund(self, no):
        return self.call("Refund", out_trade_no=no, refund_amount="100.00")

    def own_check(self, form):
        import base64

        sign = form.pop("sign")
        form.pop("sign_type")
        text = "&".join(f"{name}={form[name]}" for name in sorted(form)).encode(charset)
        return self.snippet.own_check(alipay_key(), text, sign)


def code(answer):
    assert answer["code"] == "10000", answer
    return OK


def register():
    """Gives the local Alipay the application's public key of this scheme; it holds one RSA key to an app."""
    import json

    import grpc

    messages, services = grpc.protos_and_services("pintle/v1/signing_service.proto")
    stub = services.SigningServiceStub(grpc.insecure_channel(os.environ["PINTLE"]))
    key = stub.GetPublicKey(messages.GetPublicKeyRequest(key={"name": os.environ["APP_KEY"]}), timeout=5)
    body = json.dumps({"app_id": APP_ID, "public_keys": [key.base64]}).encode()
    for at in (gateway, tricky):
        urllib.request.urlopen(f"{at}/control/apps", body).read()


def pintle_checks(form):
    import grpc

    messages, services = grpc.protos_and_services("pintle/v1/alipay_service.proto")
    stub = services.AlipayServiceStub(grpc.insecure_channel(os.environ["PINTLE"]))
    request = messages.VerifyNotificationRequest(key={"name": ALIPAY_KEY}, form=form)
    assert stub.VerifyNotification(request, timeout=5).valid, "Pintle refuses it"
    changed = messages.VerifyNotificationRequest(key={"name": ALIPAY_KEY}, form=form + b"&x=1")
    assert not stub.VerifyNotification(changed, timeout=5).valid, "Pintle accepts a changed one"


def notification(client, form):
    if ALIPAY_KEY:
        pintle_checks(form)
    fields = dict(urllib.parse.parse_qsl(form.decode(), keep_blank_values=True, encoding=charset))
    assert client.own_check(fields), "the SDK refuses it"
    return OK


def step(name, act):
    try:
        print(name, act(), sep="\t", flush=True)
    except Exception as error:  # noqa: BLE001: it is the table's to show
        print(name, f"FAILED {error!r}"[:300].replace("\n", " "), sep="\t", flush=True)


def tricky_step(act):
    try:
        return code(act())
    except Exception as error:  # noqa: BLE001
        # The snippet asks Pintle first: what is refused after that, the SDK alone refuses.
        if sdk_name == "third" and type(error).__name__ in {"AliPayValidationError", "JSONDecodeError"}:
            return BRACE_BUG
        raise


def main():
    shop = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    notify_url = f"http://127.0.0.1:{shop.server_port}/notify"
    client = {"third": Third, "official": Official}[sdk_name](gateway)
    day = f"{sdk_name}{scheme}{charset}{time.time_ns()}"
    step("pay", lambda: code(client.pay(f"{day}p", notify_url)))
    step("query", lambda: code(client.query(f"{day}p")))
    step("notification", lambda: notification(client, notifications.get(timeout=10)))
    step("refund", lambda: code(client.refund(f"{day}p")))
    step("precreate", lambda: code(client.precreate(f"{day}q")))
    step("cancel", lambda: code(client.cancel(f"{day}q")))
    if charset == "utf-8":
        other = {"third": Third, "official": Official}[sdk_name](tricky)
        step("pay, tricky", lambda: tricky_step(lambda: other.pay(f"{day}t", None)))
        step("query, tricky", lambda: tricky_step(lambda: other.query(f"{day}t")))


register() if sdk_name == "register" else main()
