//! What does a cluster say of the Knative revision that its requests are for (`tidegate.activation`)?
//!
//! A cluster whose requests may have to wait for a pod carries a `google.protobuf.Struct` in its metadata, under the name
//! [`KEY`]. Envoy takes metadata and does not look at it: it sends to the endpoints that the cluster has itself. The fields:
//!
//! | field | type | default | meaning |
//! |---|---|---|---|
//! | `namespace`, `revision` | string | required | the revision; `namespace/revision` is the name of the cluster |
//! | `pods` | string | required | the cluster whose endpoints are its pods, those that are not ready among them |
//! | `service`, `configuration` | string | none | the Service and the Configuration that it belongs to |
//! | `protocol` | `http1`, `h2c` | `http1` | what its pods speak; how they are connected to is what the cluster of the pods says |
//! | `containerConcurrency` | whole number | 0 | how many requests a pod takes at a time; 0 for any number |
//! | `targetBurstCapacity` | number from -1 | -1 | what the autoscaler keeps free; nothing here goes by it, as nobody leaves the path |
//! | `timeoutSeconds` | whole number from 1 | 300 | from the head of a request to the end of its response, waiting included |
//! | `responseStartTimeoutSeconds` | whole number | 0 | to the head of the response; 0 for no limit |
//! | `idleTimeoutSeconds` | whole number | 0 | how long the application may be silent; 0 for no limit |
//! | `fullDuplex` | bool | false | whether a response may begin before its request has ended; here it always may |
//! | `tls` | bool | false | whether requests go to port 8112 of a pod, by the TLS of the cluster of the pods; it is asked in the clear |
//! | `probeNotReadyPods` | bool | true | whether a pod is taken at its word before its endpoint is healthy; not where it cannot know: `exec` readiness probes, startup probes |

use std::fmt::Display;
use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3 as envoy;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};

use crate::limits::{REVISION_NUMBER_MAX, REVISION_TIMEOUT_SECONDS};
use crate::translate::notes::Notes;
use crate::translate::unknown::UNKNOWN_FIELDS;
use crate::translate::{Context, Reject, UnknownFields};

/// The name of the struct in `metadata.filter_metadata`.
pub const KEY: &str = "tidegate.activation";

/// What a cluster says of its revision; an `Arc` of it is in the metadata of the cluster's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Activation {
    /// The revision's namespace.
    pub namespace: Box<str>,
    /// The revision's name.
    pub revision: Box<str>,
    /// The Service that it belongs to; may be empty.
    pub service: Box<str>,
    /// The Configuration that made it; may be empty.
    pub configuration: Box<str>,
    /// The cluster whose endpoints are its pods.
    pub pods: Arc<str>,
    /// What its pods speak.
    pub protocol: Protocol,
    /// How many requests a pod takes at a time; 0 for any number.
    pub container_concurrency: u32,
    /// What the autoscaler keeps free; -1 for as much as there is.
    pub target_burst_capacity: f64,
    /// The longest that a request may take, waiting included.
    pub timeout_seconds: u32,
    /// The longest until its response starts; 0 for no limit.
    pub response_start_timeout_seconds: u32,
    /// The longest that the application may be silent; 0 for no limit.
    pub idle_timeout_seconds: u32,
    /// Whether a response may begin before its request has ended.
    pub full_duplex: bool,
    /// Whether pods take requests at their port for TLS.
    pub tls: bool,
    /// Whether a pod is taken at its word before its endpoint is healthy.
    pub probe_not_ready_pods: bool,
}

/// What the pods of a revision speak (`protocolType` of its ServerlessService).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 by prior knowledge.
    H2c,
}

/// Reads it, where it is there.
pub(super) fn read(
    message: &envoy::Cluster,
    context: &Context,
    notes: &mut Notes,
) -> Result<Option<Arc<Activation>>, Reject> {
    let metadata = message.metadata.as_ref();
    let Some(said) = metadata.and_then(|metadata| metadata.filter_metadata.get(KEY)) else {
        return Ok(None);
    };
    let fields = Fields(said);
    let read = Activation {
        namespace: fields.required("namespace")?.into(),
        revision: fields.required("revision")?.into(),
        service: fields.text("service")?.unwrap_or_default().into(),
        configuration: fields.text("configuration")?.unwrap_or_default().into(),
        pods: fields.required("pods")?.into(),
        protocol: fields.protocol()?,
        container_concurrency: fields.whole("containerConcurrency", 0)?.unwrap_or(0),
        target_burst_capacity: fields.burst()?,
        timeout_seconds: fields
            .whole("timeoutSeconds", 1)?
            .unwrap_or(REVISION_TIMEOUT_SECONDS),
        response_start_timeout_seconds: fields.whole("responseStartTimeoutSeconds", 0)?.unwrap_or(0),
        idle_timeout_seconds: fields.whole("idleTimeoutSeconds", 0)?.unwrap_or(0),
        full_duplex: fields.flag("fullDuplex")?.unwrap_or(false),
        tls: fields.flag("tls")?.unwrap_or(false),
        probe_not_ready_pods: fields.flag("probeNotReadyPods")?.unwrap_or(true),
    };
    let name = format!("{}/{}", read.namespace, read.revision);
    if name != message.name {
        let why = format!("it is {name:?}, and the cluster is called {:?}", message.name);
        return Err(refusal("revision", why));
    }
    if *read.pods == *name {
        return Err(refusal("pods", "a cluster cannot be that of its own pods"));
    }
    fields.unknown(context, notes)?;
    Ok(Some(Arc::new(read)))
}

/// The fields of the struct.
struct Fields<'a>(&'a Struct);

impl<'a> Fields<'a> {
    /// A field; `null` is as good as none.
    fn get(&self, name: &str) -> Option<&'a Kind> {
        let kind = self.0.fields.get(name)?.kind.as_ref()?;
        (!matches!(kind, Kind::NullValue(_))).then_some(kind)
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, Reject> {
        match self.get(name) {
            None => Ok(None),
            Some(Kind::StringValue(text)) => Ok(Some(text)),
            Some(other) => Err(refusal(name, format_args!("{} is no string", shown(other)))),
        }
    }

    fn required(&self, name: &str) -> Result<&'a str, Reject> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| refusal(name, "it is required"))
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Reject> {
        match self.get(name) {
            None => Ok(None),
            Some(Kind::BoolValue(flag)) => Ok(Some(*flag)),
            Some(other) => Err(refusal(name, format_args!("{} is no bool", shown(other)))),
        }
    }

    fn whole(&self, name: &str, min: u32) -> Result<Option<u32>, Reject> {
        let Some(said) = self.get(name) else {
            return Ok(None);
        };
        let range = f64::from(min)..=f64::from(REVISION_NUMBER_MAX);
        match said {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number in a range of u32"
            )]
            Kind::NumberValue(number) if number.fract() == 0.0 && range.contains(number) => {
                Ok(Some(*number as u32))
            }
            other => Err(refusal(
                name,
                format_args!(
                    "{} is no whole number from {min} to {REVISION_NUMBER_MAX}",
                    shown(other)
                ),
            )),
        }
    }

    fn burst(&self) -> Result<f64, Reject> {
        const NAME: &str = "targetBurstCapacity";
        match self.get(NAME) {
            None => Ok(-1.0),
            Some(Kind::NumberValue(number)) if *number == -1.0 || (*number >= 0.0 && number.is_finite()) => {
                Ok(*number)
            }
            Some(other) => Err(refusal(
                NAME,
                format_args!("{} is neither -1 nor a number from 0", shown(other)),
            )),
        }
    }

    fn protocol(&self) -> Result<Protocol, Reject> {
        match self.text("protocol")? {
            None | Some("http1") => Ok(Protocol::Http1),
            Some("h2c") => Ok(Protocol::H2c),
            Some(other) => {
                let why = format_args!("{other:?} is neither \"http1\" nor \"h2c\"");
                Err(refusal("protocol", why))
            }
        }
    }

    /// What this version does not know is as an unknown field of any resource.
    fn unknown(&self, context: &Context, notes: &mut Notes) -> Result<(), Reject> {
        let mut names: Vec<&str> = self.0.fields.keys().map(String::as_str).collect();
        names.retain(|name| !KNOWN.contains(name));
        if names.is_empty() || context.unknown_fields == UnknownFields::Uncounted {
            return Ok(());
        }
        names.sort_unstable();
        let names = names.join(", ");
        if context.unknown_fields == UnknownFields::Rejected {
            return Err(Reject::Resource(format!(
                "{}: it has unknown fields: {names}",
                place()
            )));
        }
        notes.add(&place(), format!("{UNKNOWN_FIELDS}{names}"));
        Ok(())
    }
}

/// All fields that there are.
const KNOWN: [&str; 14] = [
    "namespace",
    "revision",
    "pods",
    "service",
    "configuration",
    "protocol",
    "containerConcurrency",
    "targetBurstCapacity",
    "timeoutSeconds",
    "responseStartTimeoutSeconds",
    "idleTimeoutSeconds",
    "fullDuplex",
    "tls",
    "probeNotReadyPods",
];

fn place() -> String {
    format!("metadata.filter_metadata[{KEY}]")
}

fn refusal(field: &str, why: impl Display) -> Reject {
    Reject::Resource(format!("{}.{field}: {why}", place()))
}

/// A value, short enough for a message.
fn shown(kind: &Kind) -> String {
    match kind {
        Kind::NullValue(_) => "null".to_owned(),
        Kind::NumberValue(number) => number.to_string(),
        Kind::BoolValue(flag) => flag.to_string(),
        Kind::StringValue(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
        Kind::StructValue(_) => "a struct".to_owned(),
        Kind::ListValue(list) => {
            let values: &[Value] = &list.values;
            format!("a list of {}", values.len())
        }
    }
}
