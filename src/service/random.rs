//! `RandomService`: wire to domain and back.

use tonic::{Request, Response, Status};

use crate::ops;
use crate::ops::context::Context;
use crate::service::admitted;
use crate::service::authorize::Rpc;
use crate::service::pb::v1 as pb;
use crate::service::pb::v1::random_service_server::RandomService;

/// `pintle.v1.RandomService`.
pub struct Random(pub Context);

#[tonic::async_trait]
impl RandomService for Random {
    async fn generate_random(
        &self,
        request: Request<pb::GenerateRandomRequest>,
    ) -> Result<Response<pb::GenerateRandomResponse>, Status> {
        admitted::handle(Rpc::GenerateRandom, request, async |call, message| {
            let pb::GenerateRandomRequest { length } = message;
            // A length that does not fit is as much too long as any other.
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let random = ops::random::generate(&self.0, call, length).await?;
            Ok(pb::GenerateRandomResponse { random })
        })
        .await
    }
}
