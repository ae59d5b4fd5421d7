// Calls Pintle and waits for the answer, for SDKs whose hooks are synchronous: a worker thread makes the call while
// this one waits. PINTLE: where; PROTO: the folder with pintle/v1. Needs @grpc/grpc-js and @grpc/proto-loader.
//
//   const { call } = require('./pintle_sync.cjs');
//   call('SigningService', 'Sign', { key: { name: 'alipay-app-rsa2' }, message: Buffer.from('…') }).signature
//
// Throws where Pintle refuses, and after ten seconds. One call at a time: this thread does nothing meanwhile.
const { Worker, MessageChannel, receiveMessageOnPort, isMainThread, workerData } = require('node:worker_threads');

if (isMainThread) {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const { port1, port2 } = new MessageChannel();
  new Worker(__filename, { workerData: { gate, port: port2 }, transferList: [port2] }).unref();
  let number = 0;
  exports.call = (service, method, request) => {
    number += 1;
    const until = Date.now() + 10_000;
    port1.postMessage({ number, service, method, request });
    for (;;) {
      const answers = Atomics.load(gate, 0);
      for (let received; (received = receiveMessageOnPort(port1)); ) {
        // Another number is that of a call that nobody waits for any more.
        if (received.message.number !== number) continue;
        if (received.message.error) throw new Error(received.message.error);
        return received.message.answer;
      }
      if (Atomics.wait(gate, 0, answers, until - Date.now()) === 'timed-out') throw new Error('Pintle did not answer');
    }
  };
} else {
  const grpc = require('@grpc/grpc-js');
  const files = ['signing', 'alipay'].map((name) => `pintle/v1/${name}_service.proto`);
  const options = { includeDirs: [process.env.PROTO ?? 'proto'], defaults: true };
  const { v1 } = grpc.loadPackageDefinition(require('@grpc/proto-loader').loadSync(files, options)).pintle;
  const address = process.env.PINTLE ?? '127.0.0.1:50551';
  const credentials = grpc.credentials.createInsecure(); // production: createSsl, mTLS
  const { gate, port } = workerData;
  const stubs = {};
  port.on('message', ({ number, service, method, request }) => {
    stubs[service] ??= new v1[service](address, credentials);
    stubs[service][method](request, { deadline: Date.now() + 5000 }, (error, answer) => {
      port.postMessage({ number, ...(error ? { error: error.message } : { answer }) });
      Atomics.add(gate, 0, 1);
      Atomics.notify(gate, 0);
    });
  });
}
