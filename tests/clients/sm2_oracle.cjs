// SM2 by npm sm-crypto, for sm2_oracles.py: answers each line of its standard input with one line, all in
// hexadecimal (`-` is an empty text). version | key | sign ENCODING MESSAGE |
// verify ENCODING PUBLIC_KEY MESSAGE SIGNATURE; encodings der and raw, public keys SubjectPublicKeyInfo.
const { sm2 } = require('sm-crypto');
const { version } = require('sm-crypto/package.json');

const frame = '3059301306072a8648ce3d020106082a811ccf5501822d034200';
const own = sm2.generateKeyPairHex();
// Bytes must be an array of numbers: a string is taken for text.
const bytes = (word) => (word === '-' ? [] : [...Buffer.from(word, 'hex')]);
const how = (encoding, publicKey) => ({ der: encoding === 'der', hash: true, publicKey, userId: '1234567812345678' });
const commands = {
  version: () => version,
  key: () => frame + own.publicKey,
  sign: (encoding, message) => sm2.doSignature(bytes(message), own.privateKey, how(encoding, own.publicKey)),
  verify: (encoding, publicKey, message, signature) =>
    sm2.doVerifySignature(bytes(message), signature, publicKey.slice(frame.length), how(encoding)),
};

require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const [command, ...words] = line.split(' ');
  try {
    console.log(String(commands[command](...words)));
  } catch (error) {
    console.log(`error ${error.message}`.replaceAll('\n', ' '));
  }
});
