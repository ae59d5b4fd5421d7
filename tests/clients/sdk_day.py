"""A day of a gateway with one of Alipay's Python SDKs, for tests/clients/sdks.py, which sets the environment.

Prints `step<TAB>result` lines; a result other than those that begin with `ok` or `known` is a failure.
"""

import functools
import http.server
import importlib
import json
import os
import queue
import sys
import threading
import time
import urllib.parse
import urllib.request

import grpc

sdk_name = sys.argv[1]
gateway, tricky, scheme = os.environ["GATEWAY"], os.environ["TRICKY"], os.environ["SCHEME"]
charset = os.environ.get("CHARSET", "utf-8")
ALIPAY_KEY = {"name": os.environ["ALIPAY_KEY"]}
# The local Alipay and `pintle dev` have it.
CONTENT_KEY = {"name": "alipay-content"}
APP_ID = "2021000000000001"
BRACE_BUG = "known: the SDK refuses this body, its brace bug; Pintle accepts it"
ALONE = "known: the SDK alone refuses this answer; Pintle accepts it"
HUABEI = {"hb_fq_num": "6", "hb_fq_seller_percent": "100"}
notifications = queue.Queue()
# The body of the last answer, as it came.
last = {"raw": b""}


class Shop(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        notifications.put(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"success")

    def log_message(self, *_):
        pass


def alipay_key():
    return json.load(urllib.request.urlopen(f"{gateway}/keys"))["rsa"]


class Third:
    """python-alipay-sdk."""

    ENCRYPTION = "the SDK has no content encryption; Pintle encrypts"

    def __init__(self, at):
        import python_alipay_sdk as snippet

        self.snippet = snippet
        pem = f"-----BEGIN PUBLIC KEY-----\n{alipay_key()}\n-----END PUBLIC KEY-----"
        self.sdk = snippet.PintleAliPay(APP_ID, None, "", pem, sign_type=scheme)
        self.sdk._gateway = f"{at}/gateway.do"
        verify = self.sdk._verify_and_return_sync_response

        def kept(raw_string, response_type):
            last["raw"] = raw_string.encode()
            return verify(raw_string, response_type)

        self.sdk._verify_and_return_sync_response = kept

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

    def encrypted(self, no):
        """The SDK has no content encryption, but lets a caller put a body together."""
        content = {"out_trade_no": no, "subject": "花呗", "total_amount": "100.00", "extend_params": HUABEI}
        data = json.dumps(content).encode()
        encrypted = pintle("EncryptContent", "alipay_content", key=CONTENT_KEY, data=data).content
        body = self.sdk.build_body("alipay.trade.precreate", encrypted, encrypt_type="AES")
        return self.sdk.verified_sync_response(body, "alipay_trade_precreate_response")

    def own_check(self, form):
        sign = form.pop("sign")
        return self.sdk.verify(form, sign)

    @staticmethod
    def refused(error):
        """The snippet asks Pintle first: what is refused so, the SDK alone refuses."""
        return type(error).__name__ in {"AliPayValidationError", "JSONDecodeError"}


class Official:
    """alipay-sdk-python."""

    ENCRYPTION = "the SDK's own AES fails under Python 3; Pintle encrypts and decrypts"

    def __init__(self, at, encrypts=False):
        import http.client

        import alipay_sdk_python as snippet
        from alipay.aop.api.AlipayClientConfig import AlipayClientConfig
        from alipay.aop.api.util import WebUtils

        self.snippet = snippet
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
        if encrypts:
            config.encrypt_type, config.encrypt_key = "AES", os.environ["CONTENT_AES"]
        self.sdk = snippet.sdk.DefaultAlipayClient(config)
        do_post = WebUtils.do_post

        def kept(*request):
            last["raw"] = do_post(*request)
            return last["raw"]

        snippet.sdk.do_post = kept

    def call(self, noun, notify_url=None, **content):
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

    def encrypted(self, no):
        """Its own AES gives text to a library that takes bytes; the snippet for content has Pintle do it."""
        client = Official(gateway, encrypts=True)
        try:
            client.precreate(no)
            raise AssertionError("the SDK encrypts by itself: its snippet is not needed any more")
        except TypeError as error:
            assert "cannot be passed to C code" in str(error), error
        import alipay_sdk_python_content  # noqa: F401: it replaces what fails

        return client.precreate(no)

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

    @staticmethod
    def refused(error):
        return "response sign verify failed" in str(error)


def code(answer):
    assert answer["code"] == "10000", answer
    return "ok"


@functools.cache
def stub(service):
    _, services = grpc.protos_and_services(f"pintle/v1/{service}_service.proto")
    name = "".join(word.title() for word in service.split("_"))
    return getattr(services, f"{name}ServiceStub")(grpc.insecure_channel(os.environ["PINTLE"]))


def pintle(rpc, messages, **fields):
    """A call of Pintle's; `messages` is the file that has the request."""
    request = getattr(grpc.protos(f"pintle/v1/{messages}.proto"), f"{rpc}Request")(**fields)
    service = "signing" if messages == "signing_service" else "alipay"
    return getattr(stub(service), rpc)(request, timeout=5)


def register():
    """Gives the local Alipay the application's public key of this scheme; it holds one RSA key to an app."""
    key = pintle("GetPublicKey", "signing_service", key={"name": os.environ["APP_KEY"]})
    app = {"app_id": APP_ID, "public_keys": [key.base64], "aes_key": os.environ["CONTENT_AES"]}
    for at in (gateway, tricky):
        urllib.request.urlopen(f"{at}/control/apps", json.dumps(app).encode()).read()


def pintle_checks(form):
    verify = functools.partial(pintle, "VerifyNotification", "alipay_service", key=ALIPAY_KEY)
    assert verify(form=form).valid, "Pintle refuses it"
    assert not verify(form=form + b"&x=1").valid, "Pintle accepts a changed one"


def notification(client, form):
    pintle_checks(form)
    fields = dict(urllib.parse.parse_qsl(form.decode(), keep_blank_values=True, encoding=charset))
    assert client.own_check(fields), "the SDK refuses it"
    return "ok"


def verified(no, encrypted=False):
    """What Pintle says of the last answer, to a precreate; with one character of it changed it must refuse it."""
    verify = functools.partial(pintle, "VerifyResponse", "alipay_service", key=ALIPAY_KEY)
    verify = functools.partial(verify, method="alipay.trade.precreate")
    answer, raw = verify(body=last["raw"]), last["raw"]
    assert answer.valid, f"Pintle refuses {raw}"
    content = answer.content
    start = content[:13]
    changed = raw.replace(start, start[:12] + (b"2" if start.endswith(b"1") else b"1"))
    assert raw != changed and not verify(body=changed).valid, "Pintle accepts a changed one"
    if encrypted:
        assert content[:1] == content[-1:] == b'"', "the quotes are signed too"
        encrypted = content[1:-1].decode()
        content = pintle("DecryptContent", "alipay_content", key=CONTENT_KEY, content=encrypted).data
    assert json.loads(content.decode(charset))["out_trade_no"] == no, content
    return answer


def escaped_slashes(client, no):
    qr_code = client.precreate(no)["qr_code"]
    assert qr_code.startswith("https://") and b"https:\\/\\/" in last["raw"], last["raw"]
    assert not verified(no).matched_unescaped, "signed as it stands"
    return "ok"


def accepted(client, act):
    """Whether the SDK accepts an answer that Pintle has to accept."""
    try:
        code(act())
    except Exception as error:  # noqa: BLE001
        if not client.refused(error):
            raise
        return False
    return True


def signed_unescaped(client, no):
    rule = [{"method": "alipay.trade.precreate", "out_trade_no": no, "effect": "signed_unescaped"}]
    urllib.request.urlopen(f"{gateway}/control/rules", json.dumps(rule).encode()).read()
    own = accepted(client, lambda: client.precreate(no))
    assert verified(no).matched_unescaped, "signed before its slashes were escaped"
    return "ok" if own else ALONE


def encrypted_content(client, no):
    own = accepted(client, lambda: client.encrypted(no))
    verified(no, encrypted=True)
    return f"known: {client.ENCRYPTION}" + ("" if own else ", and accepts the answer, which the SDK refuses")


def step(name, act):
    try:
        print(name, act(), sep="\t", flush=True)
    except Exception as error:  # noqa: BLE001: it is the table's to show
        print(name, f"FAILED {error!r}"[:300].replace("\n", " "), sep="\t", flush=True)


def tricky_step(client, act):
    return "ok" if accepted(client, act) else BRACE_BUG


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
    step("escaped slashes", lambda: escaped_slashes(client, f"{day}e"))
    step("signed unescaped", lambda: signed_unescaped(client, f"{day}u"))
    step("encrypted content", lambda: encrypted_content(client, f"{day}c"))
    if charset == "utf-8":
        other = {"third": Third, "official": Official}[sdk_name](tricky)
        step("pay, tricky", lambda: tricky_step(other, lambda: other.pay(f"{day}t", None)))
        step("query, tricky", lambda: tricky_step(other, lambda: other.query(f"{day}t")))


register() if sdk_name == "register" else main()
