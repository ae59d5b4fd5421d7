//! `ApprovalService`: wire to domain and back.

use tonic::{Request, Response, Status};

use crate::keys::act::now;
use crate::keys::approval::{Approval, Decision};
use crate::ops;
use crate::ops::context::Context;
use crate::service::admitted;
use crate::service::authorize::Rpc;
use crate::service::pb::admin::v1 as pb;
use crate::service::pb::admin::v1::approval_service_server::ApprovalService;
use crate::service::wire::timestamp;

/// `pintle.admin.v1.ApprovalService`.
pub struct Approvals(pub Context);

#[tonic::async_trait]
impl ApprovalService for Approvals {
    async fn list_approvals(
        &self,
        request: Request<pb::ListApprovalsRequest>,
    ) -> Result<Response<pb::ListApprovalsResponse>, Status> {
        admitted::handle(Rpc::ListApprovals, request, async |call, message| {
            let pb::ListApprovalsRequest {} = message;
            let approvals = ops::approval::list(&self.0, call).await?;
            Ok(pb::ListApprovalsResponse {
                approvals: approvals.into_iter().map(approval).collect(),
            })
        })
        .await
    }

    async fn decide_approval(
        &self,
        request: Request<pb::DecideApprovalRequest>,
    ) -> Result<Response<pb::DecideApprovalResponse>, Status> {
        admitted::handle(Rpc::DecideApproval, request, async |call, message| {
            let pb::DecideApprovalRequest {
                id,
                request_hash,
                approve,
            } = message;
            let decided = ops::approval::decide(&self.0, call, &id, &request_hash, approve).await?;
            Ok(pb::DecideApprovalResponse {
                approval: Some(approval(decided)),
            })
        })
        .await
    }
}

fn approval(approval: Approval) -> pb::Approval {
    let Approval {
        id,
        call,
        keys,
        hash,
        requested_by,
        requested,
        expires,
        decision,
        decided_by,
    } = approval;
    let state = match decision {
        Decision::Used => pb::ApprovalState::Used,
        Decision::Rejected => pb::ApprovalState::Rejected,
        Decision::Waiting | Decision::Approved if expires <= now() => pb::ApprovalState::Expired,
        Decision::Waiting => pb::ApprovalState::Waiting,
        Decision::Approved => pb::ApprovalState::Approved,
    };
    pb::Approval {
        id,
        call,
        keys,
        request_hash: hash.to_vec(),
        requested_by,
        requested: Some(timestamp(requested)),
        expires: Some(timestamp(expires)),
        state: state.into(),
        decided_by: decided_by.unwrap_or_default(),
    }
}
