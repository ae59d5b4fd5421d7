//! Deadlines, bounds and what happens to a job that nobody waits for.

use std::time::{Duration, Instant};

use pintle::hsm::{Error, RsaHash, Token, TokenConfig};
use pintle::limits;

use crate::place::{Place, refusal, soon};

pub fn a_past_deadline_makes_no_token_call(place: &Place) {
    let token = place.token();
    let past = Instant::now() - Duration::from_millis(1);
    let error = refusal(token.generate_rsa(past, [1; 16], 2048).wait());
    assert!(matches!(error, Error::Deadline), "{error:?}");
    let error = refusal(token.random(past, 16).wait());
    assert!(matches!(error, Error::Deadline), "{error:?}");
    assert!(!token.has_rsa(soon(), [1; 16]).wait().unwrap());
}

pub fn a_deadline_that_passes_in_the_queue_makes_no_token_call(place: &Place) {
    let token = place.token();
    let busy = keep_busy(&token);
    let short = Instant::now() + Duration::from_millis(5);
    let late = token.generate_rsa(short, [1; 16], 2048);
    let error = refusal(late.wait());
    assert!(matches!(error, Error::Deadline), "{error:?}");
    for job in busy {
        job.wait().unwrap();
    }
    assert!(!token.has_rsa(soon(), [1; 16]).wait().unwrap());
}

pub fn a_full_queue_refuses_at_once(place: &Place) {
    let token = place.token();
    let busy = keep_busy(&token);
    let mut waiting = Vec::new();
    let mut refused = 0;
    for _ in 0..limits::POOL_QUEUE_MAX + 64 {
        waiting.push(token.has_rsa(soon(), [9; 16]));
    }
    assert!(token.pool_depth().asymmetric <= limits::POOL_QUEUE_MAX);
    assert!(token.pool_depth().asymmetric > limits::POOL_QUEUE_MAX / 2);
    // The other class has a queue of its own.
    token.probe(soon()).wait().unwrap();
    for job in waiting.drain(limits::POOL_QUEUE_MAX..) {
        match job.wait() {
            Err(Error::QueueFull) => refused += 1,
            other => assert!(!other.unwrap()),
        }
    }
    assert!(refused > 32, "only {refused} were refused");
    // Nobody waits for these any more; the worker passes over them.
    drop(waiting);
    for job in busy {
        job.wait().unwrap();
    }
    while token.pool_depth().asymmetric > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!token.has_rsa(soon(), [9; 16]).wait().unwrap());
}

pub fn a_dropped_token_answers_what_waits(place: &Place) {
    let token = place.token();
    let busy = keep_busy(&token);
    let waits = token.has_rsa(soon(), [9; 16]);
    drop(token);
    let error = refusal(waits.wait());
    assert!(matches!(error, Error::Abandoned), "{error:?}");
    drop(busy);
    // A new one opens beside the end of the old.
    Token::open(&place.config())
        .unwrap()
        .probe(soon())
        .wait()
        .unwrap();
}

/// No job is bound to a worker before it begins: none waits for a key's making while a worker is idle.
pub fn an_idle_worker_signs_while_another_makes_a_key(place: &Place) {
    place.initialize();
    let config = TokenConfig {
        asymmetric_workers: 2,
        ..place.config()
    };
    let token = Token::open(&config).unwrap();
    token.generate_rsa(soon(), [1; 16], 2048).wait().unwrap();
    // Both workers are at something for a while: first one is free, and then the other.
    place.tell_shim("delay C_FindObjectsInit 100 1");
    place.tell_shim("delay C_FindObjectsInit 200 1");
    let busy = [9, 10].map(|id| token.has_rsa(soon(), [id; 16]));
    while token.pool_depth().asymmetric > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    place.tell_shim("hang C_GenerateKeyPair 1");
    let made = token.generate_rsa(soon(), [2; 16], 2048);
    let signed = [(); 5].map(|()| {
        let message = b"which waits for no key".to_vec();
        token.sign_rsa(soon(), [1; 16], RsaHash::Sha256, message)
    });
    for job in busy {
        assert!(!job.wait().unwrap());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    for job in signed {
        let answer = async { tokio::time::timeout(Duration::from_secs(10), job).await };
        // None waits behind the key.
        runtime.block_on(answer).unwrap().unwrap();
    }
    place.tell_shim("release");
    made.wait().unwrap();
}

/// Gives the one asymmetric worker work for a while.
fn keep_busy(token: &Token) -> Vec<pintle::hsm::Job<pintle::hsm::RsaPublic>> {
    let busy: Vec<_> = (100..104)
        .map(|id| token.generate_rsa(soon(), [id; 16], 3072))
        .collect();
    // Until the worker has taken its batch, so that what follows is behind it.
    while token.pool_depth().asymmetric > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    busy
}
