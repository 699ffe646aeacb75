//! The layers of the runtime: those that stand here decide shares of requests and the bound on connections, others are followed.

use bytes::Bytes;
use envoy_types::pb::envoy::config::bootstrap::v3 as pb;
use envoy_types::pb::google::protobuf::Struct;
use envoy_types::pb::google::protobuf::value::Kind as ValueKind;
use pb::runtime_layer::LayerSpecifier;
use prost::Message as _;

use super::source::{self, ConfigSource};
use super::{Known, Reject};
use crate::translate::constraint::{Rules, one_of};
use crate::translate::notes::Notes;
use crate::translate::runtime::unusable;

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub source: LayerSource,
}

/// What is in a layer.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerSource {
    /// An encoded `google.protobuf.Struct`.
    Static(Bytes),
    /// Files, which are not read.
    Disk,
    /// What `/runtime_modify` sets.
    Admin,
    /// A resource of RTDS.
    Rtds {
        /// Its name.
        resource: String,
        /// Where it comes from.
        source: ConfigSource,
    },
}

/// The number that the layers that are there from the start say for a key, whose dots stand for structs or for themselves; of several
/// layers the last counts.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is a whole number within the range"
)]
pub(super) fn number(layers: &[Layer], key: &str) -> Option<u64> {
    let of_layer = |layer: &Layer| match &layer.source {
        LayerSource::Static(values) => found(&Struct::decode(values.clone()).ok()?, key),
        _ => None,
    };
    let number = layers.iter().rev().find_map(of_layer)?;
    // What is no whole number that fits is none to Envoy either.
    (number.fract() == 0.0 && (0.0..=U64_FLOAT_MAX).contains(&number)).then_some(number as u64)
}

fn found(values: &Struct, key: &str) -> Option<f64> {
    if let Some(ValueKind::NumberValue(number)) = values.fields.get(key).and_then(|value| value.kind.as_ref())
    {
        return Some(*number);
    }
    key.match_indices('.').find_map(|(dot, _)| {
        let (outer, inner) = (key.get(..dot)?, key.get(dot + 1..)?);
        match values.fields.get(outer)?.kind.as_ref()? {
            ValueKind::StructValue(values) => found(values, inner),
            _ => None,
        }
    })
}

/// The largest number below which every whole one is exact.
const U64_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

pub(super) fn layers(
    message: pb::LayeredRuntime,
    known: &Known,
    notes: &mut Notes,
) -> Result<Vec<Layer>, Reject> {
    let mut layers: Vec<Layer> = Vec::new();
    let outer = Rules::of("Bootstrap");
    for (index, layer) in message.layers.into_iter().enumerate() {
        let inner = Rules::of("RuntimeLayer").not_empty("Name", &layer.name);
        let specifier = one_of("layer_specifier", layer.layer_specifier.as_ref());
        let sound = inner.and(specifier.map(|_| ()));
        let within = Rules::of("LayeredRuntime").within(&format!("Layers[{index}]"), sound);
        outer.within("LayeredRuntime", within)?;
        let Some(specifier) = layer.layer_specifier else {
            continue;
        };
        let source = match specifier {
            LayerSpecifier::StaticLayer(values) => {
                if let Some(key) = unusable(&values) {
                    return Err(Reject::Resource(format!("Invalid runtime entry value for {key}")));
                }
                LayerSource::Static(values.encode_to_vec().into())
            }
            LayerSpecifier::DiskLayer(_) => {
                let field = format!("layered_runtime.layers[{index}].disk_layer");
                notes.add(&field, "its files are not read: it has no effect");
                LayerSource::Disk
            }
            LayerSpecifier::AdminLayer(_) => {
                let field = format!("layered_runtime.layers[{index}].admin_layer");
                notes.add(&field, "/runtime_modify is refused: it has no effect");
                LayerSource::Admin
            }
            LayerSpecifier::RtdsLayer(rtds) => {
                let field = format!("layered_runtime.layers[{index}].rtds_layer");
                notes.add(&field, "it is subscribed to, and has no effect");
                let unset = Default::default();
                let source = rtds.rtds_config.as_ref().unwrap_or(&unset);
                let rules = Rules::of("RtdsLayer");
                LayerSource::Rtds {
                    resource: rtds.name,
                    source: source::config(source, known)
                        .map_err(|refusal| refusal.within(outer, rules, "RtdsConfig"))?,
                }
            }
        };
        if layers.iter().any(|known| known.name == layer.name) {
            return Err(Reject::Resource(format!("Duplicate layer name: {}", layer.name)));
        }
        layers.push(Layer {
            name: layer.name,
            source,
        });
    }
    Ok(layers)
}
