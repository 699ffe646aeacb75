//! What a replica reports about its load, and how it is written (Knative Serving `pkg/autoscaler/metrics/stat.proto`).

/// One report of one replica about the last second.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Stat {
    /// Name of the replica that reports.
    #[prost(string, tag = "1")]
    pub pod_name: String,
    /// Mean concurrency, weighted by time; proxied requests and requests that wait included.
    #[prost(double, tag = "2")]
    pub average_concurrent_requests: f64,
    /// The part of it that came through an activator.
    #[prost(double, tag = "3")]
    pub average_proxied_concurrent_requests: f64,
    /// Requests that arrived, per second; proxied ones included.
    #[prost(double, tag = "4")]
    pub request_count: f64,
    /// Requests that arrived through an activator, per second.
    #[prost(double, tag = "5")]
    pub proxied_request_count: f64,
    /// Seconds since the reporter began.
    #[prost(double, tag = "6")]
    pub process_uptime: f64,
    /// Seconds since 1970; a replica leaves it 0, the autoscaler sets it when it forwards.
    #[prost(int64, tag = "7")]
    pub timestamp: i64,
}

/// A report, and which revision it is about.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WireStatMessage {
    /// The revision's namespace.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// The revision's name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The report; whoever reads a message without one skips it.
    #[prost(message, optional, tag = "3")]
    pub stat: Option<Stat>,
}

/// What an activator sends an autoscaler in one frame.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WireStatMessages {
    /// One for each revision.
    #[prost(message, repeated, tag = "1")]
    pub messages: Vec<WireStatMessage>,
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn stat() -> Stat {
        Stat {
            pod_name: "p".to_owned(),
            average_concurrent_requests: 1.0,
            average_proxied_concurrent_requests: 2.0,
            request_count: 3.0,
            proxied_request_count: 4.0,
            process_uptime: 5.0,
            timestamp: 6,
        }
    }

    #[test]
    fn a_stat_is_written_with_the_tags_that_autoscalers_read() {
        let mut expected = vec![0x0a, 1, b'p'];
        for (tag, value) in [(2, 1.0), (3, 2.0), (4, 3.0), (5, 4.0), (6, 5.0_f64)] {
            expected.push(tag << 3 | 1);
            expected.extend(value.to_le_bytes());
        }
        expected.extend([7 << 3, 6]);
        assert_eq!(stat().encode_to_vec(), expected);
    }

    #[test]
    fn a_frame_names_the_revision_of_each_stat() {
        let frame = WireStatMessages {
            messages: vec![WireStatMessage {
                namespace: "ns".to_owned(),
                name: "rev".to_owned(),
                stat: Some(Stat::default()),
            }],
        };
        let bytes = frame.encode_to_vec();
        assert_eq!(bytes, b"\x0a\x0b\x0a\x02ns\x12\x03rev\x1a\x00");
        assert_eq!(WireStatMessages::decode(&*bytes), Ok(frame));
    }
}
