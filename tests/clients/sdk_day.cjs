// A day of a gateway with npm alipay-sdk, for tests/clients/sdks.py, which sets the environment.
const pintle = require('../../examples/clients/alipay_sdk.cjs');
const { call } = require('../../examples/clients/pintle_sync.cjs');
const http = require('node:http');
const { AlipaySdk } = require('alipay-sdk');

const { GATEWAY: gateway, TRICKY: tricky, SCHEME: scheme, ALIPAY_KEY, CONTENT_AES: encryptKey } = process.env;
const key = { name: ALIPAY_KEY };
const appId = '2021000000000001';
const extendParams = { hb_fq_num: '6', hb_fq_seller_percent: '100' };
const precreated = 'alipay_trade_precreate_response';

async function step(name, act) {
  try {
    console.log(`${name}\t${await act()}`);
  } catch (error) {
    console.log(`${name}\tFAILED ${String(error.message).slice(0, 300).replaceAll('\n', ' ')}`);
  }
}

const code = (answer) => {
  if (answer.code !== '10000') throw new Error(JSON.stringify(answer));
  return 'ok';
};
const check = (holds, claim) => {
  if (!holds) throw new Error(`not so: ${claim}`);
};

// What Pintle says of a body of gateway.do; with one character of the content changed it must refuse it.
function verified(raw, node) {
  const answer = call('AlipayService', 'VerifyResponse', { key, body: Buffer.from(raw), node });
  check(answer.valid, 'Pintle accepts the answer');
  const content = Buffer.from(answer.content).toString();
  const start = content.slice(0, 13);
  const changed = raw.replace(start, start.slice(0, 12) + (start.endsWith('1') ? '2' : '1'));
  check(changed !== raw, 'a character was changed');
  const again = call('AlipayService', 'VerifyResponse', { key, body: Buffer.from(changed), node });
  check(!again.valid, 'Pintle refuses a changed answer');
  return { ...answer, content };
}

async function main() {
  const { rsa } = await (await fetch(`${gateway}/keys`)).json();
  const unguarded = (at) => new AlipaySdk({
    appId, privateKey: 'in Pintle', alipayPublicKey: rsa, signType: scheme, encryptKey,
    gateway: `${at}/gateway.do`, endpoint: at,
  });
  const sdk = pintle.guard(unguarded(gateway));
  let raw;
  const guarded = sdk.checkResponseSign;
  sdk.checkResponseSign = function (body, ...more) {
    raw = body;
    return guarded.call(this, body, ...more);
  };
  // Whether the SDK alone accepts the last answer.
  const alone = () => {
    try {
      unguarded(gateway).checkResponseSign(raw, precreated, JSON.parse(raw).sign);
      return true;
    } catch {
      return false;
    }
  };
  const okOrKnown = () => (alone() ? 'ok' : 'known: the SDK alone refuses this answer; Pintle accepts it');
  const exec = (sdk, method, bizContent, more) => sdk.exec(method, { bizContent, ...more }, { validateSign: true });
  let arrived;
  const arrival = new Promise((resolve) => { arrived = resolve; });
  const shop = http.createServer(async (request, answer) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    answer.end('success');
    arrived(Buffer.concat(parts));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => shop.once('listening', resolve));
  const notifyUrl = `http://127.0.0.1:${shop.address().port}/notify`;
  const day = `npm${scheme}${Date.now()}`;
  const pay = (no) => ({
    out_trade_no: no, scene: 'bar_code', auth_code: '280000000000000001', subject: '咖啡 a&b=%+"\\',
    total_amount: '100.00', extend_params: extendParams,
  });
  const precreate = (no) => ({ out_trade_no: no, subject: '花呗', total_amount: '100.00', extend_params: extendParams });
  await step('pay', async () => code(await exec(sdk, 'alipay.trade.pay', pay(`${day}p`), { notify_url: notifyUrl })));
  await step('query', async () => code(await exec(sdk, 'alipay.trade.query', { out_trade_no: `${day}p` })));
  await step('notification', async () => {
    const form = await Promise.race([arrival, new Promise((_, no) => setTimeout(() => no(new Error('none came')), 10_000))]);
    check(pintle.verifyNotification(form).valid, 'Pintle accepts it');
    check(!pintle.verifyNotification(form + '&x=1').valid, 'Pintle refuses a changed one');
    const fields = Object.fromEntries(new URLSearchParams(form.toString()));
    check(sdk.checkNotifySignV2(fields), 'the SDK accepts it');
    return 'ok';
  });
  const refund = { out_trade_no: `${day}p`, refund_amount: '100.00' };
  await step('refund', async () => code(await exec(sdk, 'alipay.trade.refund', refund)));
  await step('precreate', async () => code(await exec(sdk, 'alipay.trade.precreate', precreate(`${day}q`))));
  await step('cancel', async () => code(await exec(sdk, 'alipay.trade.cancel', { out_trade_no: `${day}q` })));
  const other = pintle.guard(unguarded(tricky));
  await step('tricky body', async () => code(await exec(other, 'alipay.trade.pay', pay(`${day}t`))));
  await step('escaped slashes', async () => {
    const { qrCode } = await exec(sdk, 'alipay.trade.precreate', precreate(`${day}e`));
    check(qrCode.startsWith('https://') && raw.includes('https:\\/\\/'), 'the body has \\/ where the value has /');
    check(!verified(raw, precreated).matchedUnescaped, 'signed as it stands');
    check(alone(), 'the SDK accepts it');
    return 'ok';
  });
  await step('signed unescaped', async () => {
    const rule = [{ method: 'alipay.trade.precreate', out_trade_no: `${day}u`, effect: 'signed_unescaped' }];
    await fetch(`${gateway}/control/rules`, { method: 'POST', body: JSON.stringify(rule) });
    code(await exec(sdk, 'alipay.trade.precreate', precreate(`${day}u`)));
    check(verified(raw, precreated).matchedUnescaped, 'signed before its slashes were escaped');
    return okOrKnown();
  });
  await step('encrypted content', async () => {
    const { code: ten, qrCode } = await exec(sdk, 'alipay.trade.precreate', precreate(`${day}c`), { needEncrypt: true });
    check(ten === '10000' && qrCode.startsWith('https://'), 'the SDK decrypts the answer');
    const { content } = verified(raw, precreated);
    check(/^"[A-Za-z0-9+/=]+"$/.test(content), 'the quotes are signed too');
    const asked = { key: { name: 'alipay-content' }, content: content.slice(1, -1) };
    const { data } = call('AlipayService', 'DecryptContent', asked);
    check(JSON.parse(Buffer.from(data)).out_trade_no === `${day}c`, 'Pintle decrypts the answer');
    return okOrKnown();
  });
  if (scheme === 'RSA2') {
    const { urllib } = sdk.config;
    const request = urllib.request;
    let last;
    urllib.request = async (...what) => (last = await request(...what));
    for (const needEncrypt of [false, true]) {
      await step(needEncrypt ? 'v3 pay, encrypted' : 'v3 pay', async () => {
        const no = `${day}v${needEncrypt}`;
        const { data } = await sdk.curl('POST', '/v3/alipay/trade/pay', { body: pay(no), needEncrypt });
        check(data.out_trade_no === no, JSON.stringify(data));
        // guard asked Pintle already; here the same answer once more, and a changed one.
        const signed = ['timestamp', 'nonce', 'signature'].map((name) => last.headers[`alipay-${name}`]);
        const [timestamp, nonce, signature] = signed;
        const valid = (body) => call('AlipayService', 'VerifyV3Response', {
          key, timestamp, nonce, signature, body: Buffer.from(body),
        }).valid;
        check(valid(last.data), 'Pintle accepts the answer');
        check(!valid(`${last.data} `), 'Pintle refuses a changed answer');
        return 'ok';
      });
    }
  }
  shop.close();
  process.exit(0);
}

main();
