//! One check of one endpoint: connect as its requests do, ask, within the time that it may take.

use super::{Finding, HealthCheck, Probe, grpc, http1, tcp};
use crate::cluster::{Cluster, Endpoint};
use crate::error::BoxError;
use crate::pool::connect::{Spoken, apart};

/// Asks `endpoint` once. Whatever goes wrong is a finding.
pub(super) async fn ask(cluster: &Cluster, endpoint: &Endpoint, check: &HealthCheck) -> Finding {
    let asked = tokio::time::timeout(check.timeout, connect_and_ask(cluster, endpoint, &check.probe));
    let error: BoxError = match asked.await {
        Ok(Ok(finding)) => return finding,
        Ok(Err(error)) => error,
        Err(elapsed) => elapsed.into(),
    };
    let (cluster, address) = (cluster.name(), endpoint.address());
    tracing::debug!(%cluster, %address, %error, "a health check failed");
    Finding::Failed
}

async fn connect_and_ask(cluster: &Cluster, endpoint: &Endpoint, probe: &Probe) -> Result<Finding, BoxError> {
    let (stream, spoken) = apart(cluster, endpoint).await?;
    let name: &str = endpoint.hostname().unwrap_or_else(|| cluster.name());
    match probe {
        Probe::Tcp(probe) => Ok(tcp::ask(stream, probe).await?),
        Probe::Grpc(probe) => {
            let authority = probe.authority.as_deref().unwrap_or(name);
            grpc::check(stream, &probe.service, authority).await
        }
        Probe::Http(probe) => {
            let host = probe.host.as_deref().unwrap_or(name);
            match spoken {
                Spoken::Http1 => http1::get(stream, probe, host).await,
                Spoken::Http2 => grpc::get(stream, probe, host).await,
            }
        }
    }
}
