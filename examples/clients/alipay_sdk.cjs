// npm alipay-sdk signs through Pintle: there is no private key in this process. Load this file before
// the SDK, and give it privateKey: 'in Pintle'. Its hook is synchronous, so a worker thread makes the
// call while this one waits. PINTLE, APP_KEY, ALIPAY_KEY, PROTO: where, and with which keys.
const { Worker, MessageChannel, receiveMessageOnPort, isMainThread, workerData } = require('node:worker_threads');

if (isMainThread) {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(__filename, { workerData: { gate, port: port2 }, transferList: [port2] });
  worker.unref();
  const call = (service, method, request) => {
    Atomics.store(gate, 0, 0);
    port1.postMessage({ service, method, request });
    if (Atomics.wait(gate, 0, 0, 10_000) === 'timed-out') throw new Error('Pintle did not answer');
    const { error, answer } = receiveMessageOnPort(port1).message;
    if (error) throw new Error(error);
    return answer;
  };
  require('node:crypto').createSign = () => {
    const parts = [];
    return {
      update(data, encoding) { parts.push(Buffer.from(data, encoding)); return this; },
      sign(_key, encoding) {
        const request = { key: { name: process.env.APP_KEY ?? 'alipay-app-rsa2' }, message: Buffer.concat(parts) };
        const signature = Buffer.from(call('SigningService', 'Sign', request).signature);
        return encoding ? signature.toString(encoding) : signature;
      },
    };
  };
  const key = { name: process.env.ALIPAY_KEY ?? 'alipay-rsa2' };
  // Pintle first, then the SDK's own check, wherever the SDK makes it: exec with validateSign.
  exports.guard = (sdk) => {
    const own = sdk.checkResponseSign;
    sdk.checkResponseSign = function (raw, node, ...more) {
      const { valid } = call('AlipayService', 'VerifyResponse', { key, body: Buffer.from(raw), node });
      if (!valid) throw new Error("Alipay's signature does not verify");
      return own.call(this, raw, node, ...more);
    };
    return sdk;
  };
  exports.verifyNotification = (form) => call('AlipayService', 'VerifyNotification', { key, form: Buffer.from(form) });
} else {
  const grpc = require('@grpc/grpc-js');
  const files = ['signing', 'alipay'].map((name) => `pintle/v1/${name}_service.proto`);
  const options = { includeDirs: [process.env.PROTO ?? 'proto'], defaults: true };
  const { v1 } = grpc.loadPackageDefinition(require('@grpc/proto-loader').loadSync(files, options)).pintle;
  const { gate, port } = workerData;
  port.on('message', ({ service, method, request }) => {
    const stub = new v1[service](process.env.PINTLE ?? '127.0.0.1:50551', grpc.credentials.createInsecure());
    stub[method](request, { deadline: Date.now() + 5000 }, (error, answer) => {
      port.postMessage(error ? { error: error.message } : { answer });
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
      stub.close();
    });
  });
}
