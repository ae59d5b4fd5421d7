//! Every bound in the system, in one file. Nothing here is configuration: a bound that an operator
//! may move is read from the configuration file and clamped by a constant here.

use std::time::Duration;

/// Longest message of a MAC, signature or verification call, bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Largest gRPC message accepted, bytes: a whole message plus its framing and names.
pub const GRPC_MESSAGE_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 8 * 1024;
/// Longest of the two messages that one `SecureMessage` carries, bytes.
pub const SECURE_MESSAGE_BYTES_MAX: usize = 32 * 1024;
/// Longest message that comes in a stream, bytes.
pub const STREAM_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Items of one batch call, at most.
pub const BATCH_ITEMS_MAX: usize = 1024;
/// Largest message of a batch call, bytes: all items together, with their keys.
pub const BATCH_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of messages that a batch or a stream computes on before it lets other calls run.
pub const BATCH_TURN_BYTES: usize = 16 * 1024;
/// Most random bytes in one answer.
pub const RANDOM_BYTES_MAX: usize = 1024;
/// Most parameters of one Alipay request.
pub const ALIPAY_PARAMETERS_MAX: usize = 64;
/// Longest name of an Alipay parameter, bytes.
pub const ALIPAY_NAME_BYTES_MAX: usize = 128;
/// Most parameters of one message of UnionPay's gateway.
pub const UNIONPAY_PARAMETERS_MAX: usize = 128;
/// Longest name of a UnionPay gateway parameter, bytes.
pub const UNIONPAY_NAME_BYTES_MAX: usize = 64;
/// Longest merchant id, app id, nonce or serial number of WeChat Pay, bytes.
pub const WECHAT_PAY_WORD_BYTES_MAX: usize = 64;
/// Most keys that one answer of WeChat Pay may be signed by: certificates and public keys of a migration.
pub const WECHAT_PAY_KEYS_MAX: usize = 8;
/// An answer of WeChat Pay whose time is further off is stale.
pub const WECHAT_PAY_AGE_MAX: Duration = Duration::from_secs(300);
/// Bytes on each side of the place where two strings part that are shown.
pub const COMPARISON_WINDOW_BYTES: usize = 40;
/// How long before a key's time is over a check of its profile says so.
pub const PROFILE_EXPIRY_WARNING: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Longest content of which pairs of accidents are looked for, bytes.
pub const DIAGNOSIS_PAIRS_BYTES_MAX: usize = 8 * 1024;
/// Signatures that the diagnosis of one failed verification checks, at most.
pub const DIAGNOSIS_CHECKS_MAX: usize = 1024;
/// Longest path with query of an Alipay v3 request, bytes.
pub const ALIPAY_TARGET_BYTES_MAX: usize = 8192;
/// Longest URL of a gateway, bytes.
pub const GATEWAY_URL_BYTES_MAX: usize = 1024;
/// Longest bundle of certificates, bytes.
pub const CERTIFICATE_BUNDLE_BYTES_MAX: usize = 64 * 1024;
/// Longest encrypted content of Alipay, characters: a message with its IV, its padding and its tag in
/// base64.
pub const CONTENT_CHARACTERS_MAX: usize = (MESSAGE_BYTES_MAX + 32).div_ceil(3) * 4;
/// Largest message that carries such content, bytes.
pub const CONTENT_MESSAGE_BYTES_MAX: usize = CONTENT_CHARACTERS_MAX + 8 * 1024;
/// Largest message that carries three bundles of certificates, bytes.
pub const CHAIN_MESSAGE_BYTES_MAX: usize = 3 * CERTIFICATE_BUNDLE_BYTES_MAX + 1024;
/// Certificates of one bundle, at most.
pub const CERTIFICATES_MAX: usize = 64;
/// Certificates from a leaf to its root, both counted, at most.
pub const CERTIFICATE_CHAIN_MAX: usize = 8;
/// Pairs of certificates looked at in search of a chain, at most: each may cost a signature.
pub const CERTIFICATE_CHECKS_MAX: usize = 32;

/// Digits of a PIN (ISO 9564-1:2017, 8.1).
pub const PIN_DIGITS_MIN: usize = 4;
/// Digits of a PIN, at most (ISO 9564-1:2017, 8.1).
pub const PIN_DIGITS_MAX: usize = 12;
/// Digits of a PAN, at most (ISO/IEC 7812-1).
pub const PAN_DIGITS_MAX: usize = 19;
/// Digits of a PAN that formats 0 and 3 can bind: twelve and the check digit.
pub const PAN_DIGITS_MIN_BOUND: usize = 13;
/// Digits of a Visa PVV, and of the PINs it verifies.
pub const PVV_DIGITS: usize = 4;
/// Different digits of a decimalisation table, at least.
pub const DECIMALISATION_DISTINCT_MIN: usize = 8;
/// How often one digit may stand in a decimalisation table.
pub const DECIMALISATION_REPEATS_MAX: usize = 4;
/// Digits of PAN in the validation data of IBM 3624, at least: fewer would verify for many cards.
pub const VALIDATION_DIGITS_MIN: usize = 10;
/// Digits of PAN in the validation data of IBM 3624, at most: one block.
pub const VALIDATION_DIGITS_MAX: usize = 16;
/// Random bytes of which one PIN is drawn; the chance that they do not do is below 2⁻¹⁰⁰.
pub const PIN_DRAW_BYTES: usize = 64;
/// Wrong PINs of one PAN under one verification key in a day, usually.
pub const PAN_FAILURES_DAY: u32 = 5;
/// Wrong PINs of one PAN under one verification key in a day, at most.
pub const PAN_FAILURES_DAY_MAX: u32 = 100;
/// Wrong PINs of one caller in a minute, usually; calls in flight count until they are answered.
pub const CALLER_FAILURES_MINUTE: u32 = 600;
/// Wrong PINs of one caller in a minute, at most.
pub const CALLER_FAILURES_MINUTE_MAX: u32 = 100_000;
/// Budgets waiting for the store, to be written together.
pub const BUDGET_QUEUE_MAX: usize = 8192;
/// Budgets past their time that one transaction clears away.
pub const BUDGETS_CLEARED_MAX: usize = 200;
/// Decimalisation tables of one tenant: a listing of them fits one answer.
pub const DECIMALISATION_TABLES_MAX: usize = 256;
/// Decimalisation tables that a server remembers, of all tenants.
pub const DECIMALISATION_TABLES_KNOWN_MAX: usize = 4096;
/// Shortest MAC of a block cipher a key's policy may ask for, bytes.
pub const MAC_BYTES_MIN: usize = 4;
/// Shortest HMAC a key's policy may ask for, bytes.
pub const HMAC_BYTES_MIN: usize = 8;
/// Length of a MAC over the sum of a message's blocks: eight characters, or eight bytes.
pub const FOLD_MAC_BYTES: usize = 8;
/// Shortest HMAC key, bytes.
pub const HMAC_KEY_BYTES_MIN: usize = 16;
/// Longest HMAC key, bytes: a longer one would be hashed first.
pub const HMAC_KEY_BYTES_MAX: usize = 64;
/// Shortest tag of GCM that a key's policy may ask for, bytes (SP 800-38D, 5.2.1.2).
pub const GCM_TAG_BYTES_MIN: u8 = 12;
/// The whole tag of GCM, bytes.
pub const GCM_TAG_BYTES_MAX: u8 = 16;
/// IV of GCM, bytes: the one length that needs no hash.
pub const GCM_IV_BYTES: usize = 12;
/// Longest associated data of one call, bytes: a message's header.
pub const ASSOCIATED_DATA_BYTES_MAX: usize = 2048;
/// Most bytes that encryption adds to data: one block of padding.
pub const DATA_PADDING_BYTES_MAX: usize = 16;
/// Digits and separators of a track, at least: one block of TDES and a byte behind it.
pub const TRACK_DIGITS_MIN: usize = 17;
/// Digits and separators of a track, at most: track 3 (ISO 8583 field 36).
pub const TRACK_DIGITS_MAX: usize = 104;
/// Shortest check value worth comparing, bytes.
pub const CHECK_VALUE_BYTES_MIN: usize = 3;

/// One-bits of a TDES DUKPT counter, at most: a device skips the others (X9.24-1:2009, A.1).
pub const DUKPT_TDES_ONES_MAX: u32 = 10;
/// One-bits of an AES DUKPT counter, at most: a device skips the others (X9.24-3:2017, 6.1).
pub const DUKPT_AES_ONES_MAX: u32 = 16;
/// Widest window of counters below a device's highest that still pass, once each: one word of bits.
pub const DUKPT_WINDOW_MAX: u32 = 64;
/// Initial keys remembered of one base derivation key; a forgotten one is derived again.
pub const DUKPT_INITIAL_KEYS_MAX: usize = 4096;

/// Longest key block, characters: what its length field can say (9,999), rounded down to a whole
/// AES block of hexadecimal; RSA-4096 keys with a certificate chain fit.
pub const KEY_BLOCK_CHARS_MAX: usize = 9984;
/// Optional blocks of one key block: what its count field can say (X9.143, 6.2).
pub const KEY_BLOCK_OPTIONAL_MAX: usize = 99;
/// Longest key that goes into a key block, bytes: its length in bits is written in two bytes, and
/// in hexadecimal it must leave room for a header.
pub const KEY_BLOCK_KEY_BYTES_MAX: usize = 4864;
/// Random bytes that the padding of any key block can ask for.
pub const KEY_BLOCK_PADDING_BYTES_MAX: usize = 48;

/// Longest SM2 signer identity, bytes: its length in bits is written in two bytes.
pub const SM2_ID_BYTES_MAX: usize = 0x1FFF;
/// Longest message that SM2 encrypts, bytes: keys, not files.
pub const SM2_ENCRYPTED_BYTES_MAX: usize = 1024;
/// How often a nonce of SM2 encryption is drawn: one byte has a void key stream once in 256.
pub const SM2_ENCRYPTION_NONCES_MAX: usize = 16;
/// Sensitive fields of one call, at most.
pub const SENSITIVE_FIELDS_MAX: usize = 16;
/// Longest encrypted sensitive field, characters of base64: SM2's, in its ASN.1 form.
pub const SENSITIVE_FIELD_CHARACTERS_MAX: usize = 2048;
/// Shortest RSA modulus that signs or verifies as RSA2, bits.
pub const RSA_MODULUS_BITS_MIN: usize = 2048;
/// Shortest RSA modulus accepted at all, bits: only to verify what partners signed long ago.
pub const RSA_WEAK_MODULUS_BITS_MIN: usize = 1024;
/// Longest RSA modulus, bits.
pub const RSA_MODULUS_BITS_MAX: usize = 8192;

/// Key names: `[a-z0-9][a-z0-9._-]{0,62}`.
pub const KEY_NAME_BYTES_MAX: usize = 63;
/// Longest sealed-record header, bytes.
pub const RECORD_HEADER_BYTES_MAX: usize = 4096;
/// Custodians named in one key's header.
pub const CUSTODIANS_MAX: usize = 8;
/// Longest file of a ceremony, bytes: its draft keeps it.
pub const CEREMONY_FILE_BYTES_MAX: usize = 8 * 1024;
/// Components of one key that is put together here, at least.
pub const COMPONENTS_MIN: usize = 2;
/// Components of one key that is put together here, at most.
pub const COMPONENTS_MAX: usize = 3;
/// Longest component, bytes: the longest symmetric key.
pub const COMPONENT_BYTES_MAX: usize = 64;
/// Tries that a custodian has at the keyboard in one sitting.
pub const COMPONENT_TRIES_MAX: u32 = 3;
/// How long a custodian may take over one line at the keyboard.
pub const KEYBOARD_WAIT: Duration = Duration::from_secs(10 * 60);
/// How often a wait at the keyboard looks whether the process was told to stop.
pub const KEYBOARD_LOOK: Duration = Duration::from_millis(100);
/// Longest line typed in the open in a ceremony (a package's serial number, a yes), bytes.
pub const KEYBOARD_LINE_BYTES_MAX: usize = 64;
/// Longest text of the minutes that people write freely (a reason, a machine's name), bytes.
pub const MINUTES_TEXT_BYTES_MAX: usize = 256;
/// Longest text of a sealed document, bytes: its length is written in two.
pub const SEALED_DOCUMENT_BYTES_MAX: usize = 32 * 1024;
/// Stack that is wiped after a component was handled, bytes: deeper than anything that sees one.
pub const STACK_WIPED_BYTES: usize = 256 * 1024;
/// Labels of one key.
pub const LABELS_MAX: usize = 16;
/// Longest text of a label, bytes.
pub const LABEL_BYTES_MAX: usize = 128;
/// Longest optional blocks that a key keeps from the key block it came in, characters.
pub const KEPT_OPTIONAL_BLOCKS_MAX: usize = 2048;
/// Fresh random bytes that pad one key block, at least.
pub const KEY_BLOCK_RANDOM_BYTES: usize = 64;
/// How long the answer to a change is kept for repetitions of the request.
pub const ANSWER_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a request waits for a second person, and an approved one for its caller.
pub const APPROVAL_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Seconds of a day, as crypto-periods and waiting periods count them.
pub const DAY_SECONDS: u64 = 24 * 3600;
/// Alarms before a key's crypto-period ends, days, the nearest first.
pub const EXPIRY_ALARM_DAYS: [u64; 3] = [7, 30, 90];
/// How often a server looks for activations and destructions that are due.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// Approvals of one listing.
pub const APPROVALS_LISTED_MAX: usize = 200;
/// The shortest waiting period of a destruction, and the usual one, days.
pub const DESTROY_WAIT_DAYS: u32 = 7;
/// The longest waiting period of a destruction, days.
pub const DESTROY_WAIT_DAYS_MAX: u32 = 365;
/// Key versions of one page of an answer, usually.
pub const KEYS_PAGE_DEFAULT: usize = 50;
/// Key versions of one page of an answer, at most.
pub const KEYS_PAGE_MAX: usize = 200;
/// Longest secret a record seals, bytes: the PKCS #8 of an RSA-4096 key under `wrap` takes 2,400.
pub const SEALED_BYTES_MAX: usize = 3072;
/// `seal` keys of one token: the current one and those whose records are not all sealed anew yet.
pub const SEAL_KEYS_MAX: usize = 8;
/// Highest number of a `seal` key: so many rotations in a token's life.
pub const SEAL_NUMBER_MAX: u32 = 9999;
/// A `seal` key that the token had not is not looked for again within this time.
pub const SEAL_SEARCH_INTERVAL: Duration = Duration::from_secs(1);
/// Unknown `seal` keys remembered for that time; while so many are, no other is looked for.
pub const SEAL_STRANGE_MAX: usize = 64;
/// How often tokens that are not used are looked at again.
pub const RECRUIT_INTERVAL: Duration = Duration::from_secs(2);
/// How long a server that starts waits for tokens that are being opened.
pub const TOKEN_OPEN_PATIENCE: Duration = Duration::from_secs(15);
/// How long a stamp waits for the other tokens after the first has answered.
pub const STAMP_PATIENCE: Duration = Duration::from_secs(1);
/// How long the count of a PIN's tries waits for the other tokens after the first has answered.
pub const PAN_INDEX_PATIENCE: Duration = Duration::from_millis(50);
/// Most seals in one record: one per enrolled token.
pub const SEALS_MAX: usize = 8;
/// Records sealed anew in one transaction: a kill loses no more work than that, and servers that
/// run follow some hundred at a time.
pub const RESEAL_BATCH_RECORDS: usize = 250;
/// Walks over a store in which a token is enrolled, each for what was made during the one before.
pub const ENROL_ROUNDS_MAX: u32 = 3;
/// Versions of one key.
pub const KEY_VERSIONS_MAX: usize = 64;
/// Records of one page of a listing.
pub const STORE_PAGE_RECORDS: usize = 1000;
/// Names one answer of `changed_since` lists; more, and everything counts as changed.
pub const STORE_CHANGED_NAMES_MAX: usize = 10_000;
/// Longest sealed blob of a record, bytes: the secret, its kind byte and the GCM tag.
pub const SEAL_BYTES_MAX: usize = SEALED_BYTES_MAX + 64;
/// Records that one transaction of the store writes or deletes.
pub const COMMIT_RECORDS_MAX: usize = 10_000;
/// Tries of one change to the catalogue, each after another writer was quicker.
pub const COMMIT_TRIES_MAX: u32 = 16;
/// Threads that tag rows when a whole store is read.
pub const SCAN_WORKERS_MAX: usize = 8;
/// Rows handed to such a thread at once.
pub const SCAN_BATCH_ROWS: usize = 1024;
/// Rows that differ from what the root vouches for, named one by one; the rest is counted.
pub const FINDINGS_NAMED_MAX: usize = 100;
/// How often the progress of a copy of the store is told.
pub const COPY_PROGRESS: Duration = Duration::from_millis(50);
/// Documents (minutes, approvals) that one transaction of the store writes.
pub const COMMIT_DOCUMENTS_MAX: usize = 64;
/// Longest kind or id of a document, bytes.
pub const DOCUMENT_NAME_BYTES_MAX: usize = 192;
/// Longest document, bytes.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// Documents of one page of a listing.
pub const DOCUMENT_PAGE: usize = 100;
/// Longest request id, bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// Longest answer kept for a call that is repeated, bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Answers past their time that one transaction clears away.
pub const ANSWERS_CLEARED_MAX: usize = 100;
/// How often a waiter looks whether the advisory lock came free.
pub const ADVISORY_LOCK_RETRY: Duration = Duration::from_millis(50);
/// Draws of one key value before the token's generator counts as broken.
pub const KEY_DRAWS_MAX: usize = 8;
/// Patterns of one caller's key scope.
pub const SCOPE_PATTERNS_MAX: usize = 256;
/// Largest configuration, policy, template or import file, bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Most keys of one template file.
pub const TEMPLATE_KEYS_MAX: usize = 10_000;

/// Open keys in the cache, at most; the locked slab may hold fewer.
pub const OPEN_KEYS_MAX: usize = 65_536;
/// Locked memory for open keys, bytes, at most; RLIMIT_MEMLOCK often allows less.
pub const LOCKED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Locked memory asked for where the system gives no usable limit, bytes.
pub const LOCKED_BYTES_DEFAULT: usize = 8 * 1024 * 1024;
/// Shards of the open-key cache.
pub const CACHE_SHARDS: usize = 16;
/// How often a server asks the store whether the catalogue changed.
pub const GENERATION_POLL: Duration = Duration::from_millis(500);
/// After this long without a successful poll no key is used: revocation would be blind.
pub const GENERATION_BLIND_MAX: Duration = Duration::from_secs(60);

/// Jobs waiting for a session, per class.
pub const POOL_QUEUE_MAX: usize = 1024;
/// Workers (sessions) per class, at most.
pub const POOL_WORKERS_MAX: usize = 64;
/// Reads and writes waiting for the store.
pub const STORE_QUEUE_MAX: usize = 4096;
/// Read-only store connections.
pub const STORE_READERS: usize = 2;
/// Audit records waiting for the disk.
pub const AUDIT_QUEUE_MAX: usize = 8192;
/// Records made durable by one fdatasync, at most.
pub const AUDIT_BATCH_MAX: usize = 1024;
/// Longest caller name or request id in an audit record, bytes.
pub const AUDIT_NAME_BYTES_MAX: usize = 256;
/// Most keys named by one audit record; a call of more has more records.
pub const AUDIT_KEYS_MAX: usize = 16;
/// Longest line of an audit journal, its newline included, bytes.
pub const AUDIT_LINE_BYTES_MAX: usize = 4096;
/// How much of an existing journal's end is checked when it is opened, bytes.
pub const AUDIT_TAIL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A call without a deadline gets this one.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(2);
/// No call may run longer, whatever its caller asked.
pub const DEADLINE_MAX: Duration = Duration::from_secs(10);
/// A command line waits this long for the token.
pub const COMMAND_TOKEN_WAIT: Duration = Duration::from_secs(60);
/// How long `keys apply` waits for another that holds the lock.
pub const ADVISORY_LOCK_WAIT: Duration = Duration::from_secs(10);
/// Drain time after a stop signal.
pub const DRAIN_MAX: Duration = Duration::from_secs(10);

/// HTTP/2 streams of one connection.
pub const HTTP2_STREAMS_MAX: u32 = 256;
/// HTTP/2 header list, bytes.
pub const HTTP2_HEADER_BYTES_MAX: u32 = 8 * 1024;
/// Calls in flight on one listener.
pub const CALLS_IN_FLIGHT_MAX: usize = 4096;
/// Longest wait for the frames of an idle connection before it is probed.
pub const HTTP2_KEEPALIVE: Duration = Duration::from_secs(30);

/// Callers of one policy file.
pub const CALLERS_MAX: usize = 10_000;
/// Rows (calls, key patterns) of one caller.
pub const CALLER_ROWS_MAX: usize = 256;
/// Longest name of a caller (its URI), bytes.
pub const CALLER_URI_BYTES_MAX: usize = 255;
/// Connections of one listener: far below the usual bound on open files.
pub const CONNECTIONS_MAX: usize = 768;
/// Connections accepted and not yet taken up.
pub const ACCEPT_QUEUE_MAX: usize = 16;
/// Wait after an accept that failed for want of a resource, instead of spinning.
pub const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);
/// Longest TLS handshake.
pub const TLS_HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Age at which a connection is asked to end, so that certificates are looked at again.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(15 * 60);
/// Longest wait for the answer to an HTTP/2 ping.
pub const HTTP2_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams reset by the peer and not yet accepted, before GOAWAY.
pub const HTTP2_PENDING_RESET_MAX: usize = 20;
/// Streams reset by us, before GOAWAY.
pub const HTTP2_LOCAL_RESET_MAX: usize = 1024;
/// HTTP/2 window of one stream: one whole message fits.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 128 * 1024;
/// HTTP/2 window of one connection.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Largest message of a call that carries no payload of the caller's (names, key blocks, a PIN
/// block), bytes.
pub const SMALL_MESSAGE_BYTES_MAX: usize = 4096;
/// Longest key block that a data-plane call may bring, characters.
pub const KEY_REF_BLOCK_CHARS_MAX: usize = 1536;
/// Largest message of a control-plane call that carries a key block, bytes.
pub const KEY_MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Shortest PAN of a call, digits; formats 0 and 3 ask for more.
pub const PAN_DIGITS_MIN: usize = 8;

/// How often readiness is tried by a real operation under `seal`.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// A probe that takes longer has failed.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(2);

/// Fill bytes that one generator makes before it must have a new seed.
pub const FILL_BYTES_PER_SEED: u64 = 1 << 30;
/// How often a new seed is fetched from the token.
pub const FILL_RESEED: Duration = Duration::from_secs(60);

/// Most tries of one call by the client, the first included.
pub const CLIENT_TRIES_MAX: u32 = 3;
/// First wait between two tries of the client; it doubles.
pub const CLIENT_BACK_OFF: Duration = Duration::from_millis(50);
/// How long the client waits for a connection.
pub const CLIENT_CONNECT_MAX: Duration = Duration::from_secs(5);

/// Workers that one seed of the root generator may seed.
pub const FILL_WORKERS_PER_SEED: u32 = 1 << 20;
/// Longest wait for a record to be durable; after it the call is refused.
pub const AUDIT_WAIT_MAX: Duration = Duration::from_millis(500);
/// Collectors of metrics at once.
pub const METRICS_CONNECTIONS_MAX: usize = 8;
/// A collector has this long to ask and to read the answer.
pub const METRICS_CONNECTION_MAX: Duration = Duration::from_secs(5);
/// A collector's request, head and all; also what is written at once.
pub const METRICS_REQUEST_BYTES_MAX: usize = 16 * 1024;

const _: () = assert!(KEY_BLOCK_KEY_BYTES_MAX * 8 <= u16::MAX as usize);
const _: () = assert!(KEY_BLOCK_CHARS_MAX >= 2 * KEY_BLOCK_KEY_BYTES_MAX + 256);
const _: () = assert!(COMPONENTS_MAX <= CUSTODIANS_MAX);
const _: () = assert!(CEREMONY_FILE_BYTES_MAX * 2 < SEALED_DOCUMENT_BYTES_MAX);
const _: () = assert!(
    DOCUMENT_NAME_BYTES_MAX > 2 * KEY_NAME_BYTES_MAX + 34,
    "minutes are named by tenant, key and ceremony"
);
const _: () = assert!(COMPONENTS_MAX * COMPONENT_BYTES_MAX < SEALED_BYTES_MAX);
const _: () = assert!(SEALED_DOCUMENT_BYTES_MAX < u16::MAX as usize);
const _: () = assert!(KEY_MESSAGE_BYTES_MAX > KEY_BLOCK_CHARS_MAX);
const _: () = assert!(SMALL_MESSAGE_BYTES_MAX <= GRPC_MESSAGE_BYTES_MAX);
const _: () =
    assert!(SENSITIVE_FIELD_CHARACTERS_MAX > SM2_ENCRYPTED_BYTES_MAX.div_ceil(3) * 4 + 160);
const _: () =
    assert!(SENSITIVE_FIELDS_MAX * SENSITIVE_FIELD_CHARACTERS_MAX < GRPC_MESSAGE_BYTES_MAX);
const _: () = assert!(2 * KEY_REF_BLOCK_CHARS_MAX < SMALL_MESSAGE_BYTES_MAX);
const _: () = assert!(HTTP2_STREAM_WINDOW_BYTES as usize >= GRPC_MESSAGE_BYTES_MAX);
const _: () = assert!(PAN_DIGITS_MIN <= PAN_DIGITS_MAX);

const _: () = assert!(GRPC_MESSAGE_BYTES_MAX > MESSAGE_BYTES_MAX);
const _: () = assert!(BATCH_MESSAGE_BYTES_MAX > GRPC_MESSAGE_BYTES_MAX);
const _: () = assert!(
    2 * BATCH_ITEMS_MAX / AUDIT_KEYS_MAX < AUDIT_QUEUE_MAX / 8,
    "the records of a batch with two keys an item find room"
);
const _: () = assert!(DEADLINE_DEFAULT.as_nanos() <= DEADLINE_MAX.as_nanos());
const _: () = assert!(AUDIT_BATCH_MAX <= AUDIT_QUEUE_MAX);
const _: () = assert!(STORE_PAGE_RECORDS >= KEY_VERSIONS_MAX);
const _: () = assert!(
    AUDIT_LINE_BYTES_MAX > 4 * AUDIT_NAME_BYTES_MAX + AUDIT_KEYS_MAX * (KEY_NAME_BYTES_MAX + 64),
    "the longest record fits a line"
);
const _: () = assert!(
    AUDIT_TAIL_BYTES_MAX > AUDIT_BATCH_MAX * AUDIT_LINE_BYTES_MAX,
    "a batch torn by a crash lies within the tail"
);
const _: () = assert!(LOCKED_BYTES_DEFAULT <= LOCKED_BYTES_MAX);
const _: () = assert!(
    GENERATION_POLL.as_millis() * 2 < 2000,
    "a disabled key stops within 2 s"
);

/// Jobs a worker takes from its queue at once.
pub const POOL_BATCH_MAX: usize = 16;
/// A worker with more to do keeps the answers it has so long, since the first of their jobs began: each
/// is a wake-up of another thread.
pub const ANSWER_KEPT_SYMMETRIC: Duration = Duration::from_micros(100);
/// The same for signatures: eight of RSA-2048.
pub const ANSWER_KEPT_ASYMMETRIC: Duration = Duration::from_millis(4);
/// A call to the token that takes longer hangs: it is given up and the token probed.
pub const TOKEN_CALL_TIMEOUT: Duration = Duration::from_millis(750);
/// How short and how long an operator may make that.
pub const TOKEN_CALL_TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_secs(60);
/// Making a key, bringing one in or reading a whole token may take this long.
pub const TOKEN_SLOW_CALL: Duration = Duration::from_secs(60);
/// How often a token's supervisor looks at what its workers are at.
pub const SUPERVISE_INTERVAL: Duration = Duration::from_millis(25);
/// From a token's first failure to the first probe.
pub const BREAKER_WAIT_FIRST: Duration = Duration::from_millis(100);
/// Between two probes of a token that is away, at most.
pub const BREAKER_WAIT_LONGEST: Duration = Duration::from_secs(2);
/// Threads of one token that may be lost in calls that hang; more, and it serves no more.
pub const WORKERS_LOST_MAX: usize = 64;
/// A call waits this long while its module is initialised again.
pub const GATE_WAIT: Duration = Duration::from_millis(600);
/// Initialising a module again waits this long for the calls in it.
pub const GATE_DRAIN: Duration = Duration::from_millis(300);
/// A module of which another token serves is initialised again no more often than this.
pub const REINITIALIZE_SPARED: Duration = Duration::from_secs(10);
/// Handles of token keys remembered by one open token; a forgotten one costs a search.
pub const TOKEN_HANDLES_MAX: usize = 4096;
/// Wrapped signing keys open in the token at once; a session object each.
pub const WRAPPED_KEYS_OPEN_MAX: usize = 2048;
/// Longest wrapped signing key, bytes: the PKCS #8 of 4096 bits takes 2,400 with its wrapping.
pub const WRAPPED_BYTES_MAX: usize = 2560;
/// Bytes read of a key's label and id when a token's keys are judged; longer ones read as none.
pub const SCAN_NAME_BYTES: usize = 128;
/// Mechanisms read of a key's list; a longer list reads as none, which is worse.
pub const SCAN_MECHANISMS: usize = 64;
/// Longest profile of a make of token, bytes.
pub const PROFILE_BYTES_MAX: u64 = 64 * 1024;
/// Most messages of one CMAC job: a key block's keys take eight.
pub const TOKEN_CMACS_MAX: usize = 16;
/// Longest message of a CMAC under a key in the token, bytes: derivations, and small key blocks.
pub const TOKEN_CMAC_BYTES_MAX: usize = 4096;
/// Most bytes encrypted or decrypted in one call under a key-encryption key in the token.
pub const TOKEN_ECB_BYTES_MAX: usize = 1024;
/// RSA modulus sizes of signing keys, bits.
pub const RSA_BITS: [u32; 3] = [2048, 3072, 4096];
/// The longest RSA signature, bytes.
pub const RSA_SIGNATURE_BYTES_MAX: usize = 512;
/// Keys of each kind whose coming end or beginning is among the series.
pub const COUNTDOWN_SERIES_MAX: usize = 50;
/// The longest public key or certificate that is brought in, bytes.
pub const PUBLIC_KEY_FILE_BYTES_MAX: usize = 64 * 1024;
/// The longest subject of a certificate request, bytes.
pub const SUBJECT_BYTES_MAX: usize = 512;
/// The longest PKCS #8 RSA private key, bytes (4096 bits take about 2,400).
pub const PKCS8_BYTES_MAX: usize = 4096;

const _: () = assert!(WRAPPED_BYTES_MAX < SEALED_BYTES_MAX);
const _: () = assert!(POOL_BATCH_MAX <= POOL_QUEUE_MAX);
const _: () = assert!(
    TOKEN_CALL_TIMEOUT.as_millis() + SUPERVISE_INTERVAL.as_millis() < 1000,
    "a hung token is known within a second"
);
const _: () = assert!(GATE_DRAIN.as_nanos() < GATE_WAIT.as_nanos());
const _: () = assert!(
    GATE_WAIT.as_nanos() < TOKEN_CALL_TIMEOUT.as_nanos(),
    "a call that waits at the gate does not hang"
);
const _: () = assert!(TOKEN_CALL_TIMEOUT.as_nanos() < DEADLINE_DEFAULT.as_nanos());
const _: () = assert!(RSA_SIGNATURE_BYTES_MAX * 8 == RSA_BITS[2] as usize);
