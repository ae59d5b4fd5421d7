//! RandomService.

use pintle::service::pb::v1::GenerateRandomRequest;
use tonic::Code;

use crate::refusal::assert_refused;
use crate::world::world;

#[test]
fn generate_random_accepts_1_to_1024_bytes_and_never_repeats() {
    world().run(async |world| {
        let client = world.client().await;
        let mut seen = std::collections::HashSet::new();
        for length in [16, 17, 1024, 16] {
            let answer = client
                .generate_random(GenerateRandomRequest { length })
                .await
                .unwrap();
            assert_eq!(answer.random.len(), length as usize);
            assert!(seen.insert(answer.random));
        }
        let one = client
            .generate_random(GenerateRandomRequest { length: 1 })
            .await
            .unwrap();
        assert_eq!(one.random.len(), 1);
    });
}

#[test]
fn generate_random_refuses_any_other_length() {
    world().run(async |world| {
        let client = world.client().await;
        for length in [0, 1025, u32::MAX] {
            let answer = client
                .generate_random(GenerateRandomRequest { length })
                .await;
            assert_refused(answer, Code::InvalidArgument, "RANDOM_LENGTH", "length");
        }
    });
}
