//! The layers of the runtime: they are shown, and followed, and change nothing.

use bytes::Bytes;
use envoy_types::pb::envoy::config::bootstrap::v3 as pb;
use pb::runtime_layer::LayerSpecifier;
use prost::Message as _;

use super::source::{self, ConfigSource};
use super::{Known, Reject};
use crate::translate::constraint::{Rules, one_of};

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

pub(super) fn layers(message: pb::LayeredRuntime, known: &Known) -> Result<Vec<Layer>, Reject> {
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
            LayerSpecifier::StaticLayer(values) => LayerSource::Static(values.encode_to_vec().into()),
            LayerSpecifier::DiskLayer(_) => LayerSource::Disk,
            LayerSpecifier::AdminLayer(_) => LayerSource::Admin,
            LayerSpecifier::RtdsLayer(rtds) => {
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
