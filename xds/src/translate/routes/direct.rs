//! Responses that need no upstream.

use std::path::Path;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::DataSource;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::route::v3 as pb;
use http::{HeaderValue, StatusCode};
use tidegate_proxy::route::DirectResponse;

use super::reading::Reading;
use crate::regular_file;
use crate::translate::Reject;

impl Reading<'_> {
    /// A direct response, whose constraints hold.
    pub(super) fn direct(&mut self, proto: &pb::DirectResponseAction) -> Result<DirectResponse, Reject> {
        let status = u16::try_from(proto.status).ok();
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if proto.body_format.is_some() {
            self.notes
                .add("direct_response.body_format", "the body is sent as it is");
        }
        let body = match &proto.body {
            Some(source) => read(source, self.direct_body_bytes_max())?,
            None => Bytes::new(),
        };
        Ok(DirectResponse::new(status, body).with_content_type(HeaderValue::from_static("text/plain")))
    }
}

/// The bytes that a body is made of.
fn read(source: &DataSource, bytes_max: u64) -> Result<Bytes, Reject> {
    let bytes = match &source.specifier {
        Some(Specifier::InlineString(text)) => text.clone().into(),
        Some(Specifier::InlineBytes(bytes)) => bytes.clone().into(),
        Some(Specifier::EnvironmentVariable(name)) => match std::env::var(name) {
            Ok(value) => value.into(),
            Err(_) => {
                let why = format!("Environment variable doesn't exist: {name}");
                return Err(Reject::Resource(why));
            }
        },
        Some(Specifier::Filename(path)) => return file(path, bytes_max),
        None => Bytes::new(),
    };
    within(bytes.len() as u64, bytes_max)?;
    Ok(bytes)
}

fn file(path: &str, bytes_max: u64) -> Result<Bytes, Reject> {
    let path = Path::new(path);
    let size = std::fs::metadata(path).map_err(|_| {
        let path = path.display();
        Reject::Resource(format!("file {path} does not exist"))
    })?;
    within(size.len(), bytes_max)?;
    let bytes = regular_file::read(path, bytes_max).map_err(|error| {
        let path = path.display();
        Reject::Resource(format!("unable to read file: {path}: {error}"))
    })?;
    Ok(bytes.into())
}

fn within(bytes: u64, bytes_max: u64) -> Result<(), Reject> {
    if bytes > bytes_max {
        let why = format!("response body size is {bytes} bytes; maximum is {bytes_max}");
        return Err(Reject::Resource(why));
    }
    Ok(())
}
