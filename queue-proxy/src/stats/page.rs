//! What does the autoscaler read when it scrapes the replica?

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use prost::Message;
use tidegate_knative::stat::Stat;
use tidegate_proxy::Body;
use tokio::time::{MissedTickBehavior, interval_at};

use super::Loads;
use crate::limits::REPORT_PERIOD;

/// The last report, ready to be sent. Clones are the same page.
#[derive(Clone, Debug)]
pub struct Page {
    // Taken once a second by each side.
    body: Arc<Mutex<Bytes>>,
}

impl Page {
    /// The page of a replica that has reported nothing yet.
    #[must_use]
    pub fn new(loads: &Loads) -> Self {
        Self {
            body: Arc::new(Mutex::new(encoded(&loads.nothing()))),
        }
    }

    /// Reports every period, without an end.
    pub async fn keep(&self, loads: &Loads) {
        let mut ticks = interval_at(tokio::time::Instant::now() + REPORT_PERIOD, REPORT_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let report = encoded(&loads.report(Instant::now(), REPORT_PERIOD));
            *self.body.lock().unwrap_or_else(PoisonError::into_inner) = report;
        }
    }

    /// The page as a response. Its type has no parameters: the autoscaler compares it as a whole.
    #[must_use]
    pub fn response(&self) -> Response<Body> {
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut response = Response::new(Body::full(body));
        let protobuf = HeaderValue::from_static("application/protobuf");
        response.headers_mut().insert(CONTENT_TYPE, protobuf);
        response
    }
}

fn encoded(stat: &Stat) -> Bytes {
    stat.encode_to_vec().into()
}
