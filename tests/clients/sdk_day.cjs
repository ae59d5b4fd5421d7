// A day of a gateway with npm alipay-sdk, for tests/clients/sdks.py, which sets the environment.
const pintle = require('../../examples/clients/alipay_sdk.cjs');
const http = require('node:http');
const { AlipaySdk } = require('alipay-sdk');

const { GATEWAY: gateway, TRICKY: tricky, SCHEME: scheme, ALIPAY_KEY } = process.env;
// Without the key only the SDK checks the answers: `pintle dev` has no key of Alipay's for SHA-1.
const ok = ALIPAY_KEY ? 'ok' : 'ok, answer checked by the SDK alone';
const appId = '2021000000000001';
const extendParams = { hb_fq_num: '6', hb_fq_seller_percent: '100' };

async function step(name, act) {
  try {
    console.log(`${name}\t${await act()}`);
  } catch (error) {
    console.log(`${name}\tFAILED ${String(error.message).slice(0, 300).replaceAll('\n', ' ')}`);
  }
}

const code = (answer) => {
  if (answer.code !== '10000') throw new Error(JSON.stringify(answer));
  return ok;
};

async function main() {
  const { rsa } = await (await fetch(`${gateway}/keys`)).json();
  const guarded = (sdk) => (ALIPAY_KEY ? pintle.guard(sdk) : sdk);
  const sdkAt = (at) => guarded(new AlipaySdk({
    appId, privateKey: 'in Pintle', alipayPublicKey: rsa, signType: scheme, gateway: `${at}/gateway.do`, endpoint: at,
  }));
  const sdk = sdkAt(gateway);
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
  await step('pay', async () => code(await exec(sdk, 'alipay.trade.pay', pay(`${day}p`), { notify_url: notifyUrl })));
  await step('query', async () => code(await exec(sdk, 'alipay.trade.query', { out_trade_no: `${day}p` })));
  await step('notification', async () => {
    const form = await Promise.race([arrival, new Promise((_, no) => setTimeout(() => no(new Error('none came')), 10_000))]);
    if (ALIPAY_KEY && !pintle.verifyNotification(form).valid) throw new Error('Pintle refuses it');
    if (ALIPAY_KEY && pintle.verifyNotification(form + '&x=1').valid) throw new Error('Pintle accepts a changed one');
    const fields = Object.fromEntries(new URLSearchParams(form.toString()));
    if (!sdk.checkNotifySignV2(fields)) throw new Error('the SDK refuses it');
    return ok;
  });
  await step('refund', async () => code(await exec(sdk, 'alipay.trade.refund', { out_trade_no: `${day}p`, refund_amount: '100.00' })));
  const precreate = { out_trade_no: `${day}q`, subject: '花呗', total_amount: '100.00', extend_params: extendParams };
  await step('precreate', async () => code(await exec(sdk, 'alipay.trade.precreate', precreate)));
  await step('cancel', async () => code(await exec(sdk, 'alipay.trade.cancel', { out_trade_no: `${day}q` })));
  await step('tricky body', async () => code(await exec(sdkAt(tricky), 'alipay.trade.pay', pay(`${day}t`))));
  if (scheme === 'RSA2') {
    // The answer's check is the SDK's own; the request is signed by Pintle.
    await step('v3 pay', async () => {
      const { data } = await sdk.curl('POST', '/v3/alipay/trade/pay', { body: pay(`${day}v`) });
      if (data.out_trade_no !== `${day}v`) throw new Error(JSON.stringify(data));
      return 'ok, answer checked by the SDK alone';
    });
  }
  shop.close();
  process.exit(0);
}

main();
