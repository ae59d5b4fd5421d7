// npm alipay-sdk signs through Pintle: there is no private key in this process. Load this file before the SDK, give
// it privateKey: 'in Pintle', and guard(sdk). PINTLE, PROTO, APP_KEY, ALIPAY_KEY: where, and with which keys.
const { call } = require('./pintle_sync.cjs');

const { APP_KEY = 'alipay-app-rsa2', ALIPAY_KEY = 'alipay-rsa2' } = process.env;
const key = { name: ALIPAY_KEY };
const believe = (method, request) => {
  const answer = call('AlipayService', method, { key, ...request });
  if (!answer.valid) throw new Error("Alipay's signature does not verify");
  return answer;
};
require('node:crypto').createSign = () => {
  const parts = [];
  const sign = (_privateKey, encoding) => {
    const { signature } = call('SigningService', 'Sign', { key: { name: APP_KEY }, message: Buffer.concat(parts) });
    return encoding ? Buffer.from(signature).toString(encoding) : Buffer.from(signature);
  };
  return { sign, update(data, encoding) { parts.push(Buffer.from(data, encoding)); return this; } };
};
let request;
// Pintle first, then the SDK's own check, wherever the SDK makes one: exec with validateSign, and curl (v3).
exports.guard = (sdk) => {
  const own = sdk.checkResponseSign;
  sdk.checkResponseSign = function (raw, node, ...more) {
    const { content, matchedUnescaped } = believe('VerifyResponse', { body: Buffer.from(raw), node });
    // Its own knows neither encrypted content, which is a string, nor signatures made before slashes were escaped.
    if (content[0] !== 0x22 && !matchedUnescaped) own.call(this, raw, node, ...more);
  };
  request ??= sdk.config.urllib.request;
  sdk.config.urllib.request = async (...what) => {
    const answer = await request(...what);
    const [timestamp, nonce, signature] = ['timestamp', 'nonce', 'signature'].map((n) => answer.headers[`alipay-${n}`]);
    if (!signature || typeof answer.data !== 'string') return answer; // of a stream the SDK checks nothing either
    believe('VerifyV3Response', { timestamp, nonce, signature, body: Buffer.from(answer.data) });
    return answer;
  };
  return sdk;
};
exports.verifyNotification = (form) => call('AlipayService', 'VerifyNotification', { key, form: Buffer.from(form) });
