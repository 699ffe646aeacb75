//! What is a configuration once each of its resources is read?

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_xds::resource::Kind;
use tidegate_xds::text::{Format, Json, Secrets, Unknown, parse, to_json};
use tidegate_xds::translate::cluster::{ClusterConfig, cluster};
use tidegate_xds::translate::endpoints::{EndpointsConfig, endpoints};
use tidegate_xds::translate::listener::{ListenerConfig, listener};
use tidegate_xds::translate::routes::{RoutesConfig, routes};
use tidegate_xds::translate::{Context, Reject};

use crate::bootstrap::{Report, context};
use crate::flags::Flags;
use crate::resources::{Resource, Resources};

/// Resources that were read, by name.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The listeners.
    pub listeners: BTreeMap<Arc<str>, Arc<ListenerConfig>>,
    /// The route configurations that stand by themselves.
    pub routes: BTreeMap<Arc<str>, Arc<RoutesConfig>>,
    /// The clusters.
    pub clusters: BTreeMap<Arc<str>, Arc<ClusterConfig>>,
    /// The endpoints that come apart from their clusters.
    pub endpoints: BTreeMap<Arc<str>, Arc<EndpointsConfig>>,
    /// What is to be known beside it.
    pub remarks: Vec<String>,
}

impl Configuration {
    /// Reads every resource; what certificates say makes no difference, so those that cannot be read are passed over.
    ///
    /// # Errors
    /// The first resource that would be refused, with its place.
    pub fn read(resources: &Resources) -> Result<Self, Report> {
        let context = context(&Flags::of("tidegate"));
        let mut all = Self {
            remarks: resources.remarks.clone(),
            ..Self::default()
        };
        // A cluster's own endpoints, as they were looked up, first: what comes by EDS is newer.
        for resource in resources.known.iter().chain(&resources.list) {
            all.add(resource, &context).map_err(|reject| Report {
                config: resources.name.clone(),
                place: Some(resource.place.clone()),
                message: format!("'{}': {reject}", resource.raw.name),
            })?;
        }
        Ok(all)
    }

    fn add(&mut self, resource: &Resource, context: &Context) -> Result<(), Reject> {
        let (body, name) = (&resource.raw.body, Arc::clone(&resource.raw.name));
        match resource.kind {
            Kind::Listener => {
                let config = self.despite_certificates(resource, |body| listener(body, context))?;
                self.listeners.insert(name, Arc::new(config));
            }
            Kind::Cluster => {
                let config = self.despite_certificates(resource, |body| cluster(body, context))?;
                self.clusters.insert(name, Arc::new(config));
            }
            Kind::Routes => _ = self.routes.insert(name, Arc::new(routes(body, &[], context)?)),
            Kind::Endpoints => _ = self.endpoints.insert(name, Arc::new(endpoints(body, context)?)),
            Kind::Secret | Kind::Runtime => {}
        }
        Ok(())
    }

    /// Reads a resource; where that fails because of certificates in it, which a dump blacks out and which may be files of
    /// another machine, without them.
    fn despite_certificates<T>(
        &mut self,
        resource: &Resource,
        read: impl Fn(&bytes::Bytes) -> Result<T, Reject>,
    ) -> Result<T, Reject> {
        let refused = match read(&resource.raw.body) {
            Ok(config) => return Ok(config),
            Err(refused) => refused,
        };
        let Some(config) = without_certificates(resource).and_then(|body| read(&body).ok()) else {
            return Err(refused);
        };
        self.remarks.push(format!(
            "'{}' is read without its certificates: {refused}",
            resource.raw.name
        ));
        Ok(config)
    }
}

/// The resource with names of secrets where it has certificates; none where it has no certificates.
fn without_certificates(resource: &Resource) -> Option<bytes::Bytes> {
    let url = resource.kind.type_url();
    let mut json = to_json(url, &resource.raw.body, Secrets::Redacted)?;
    if !name_secrets(&mut json) {
        return None;
    }
    let name = url.rsplit('/').next()?;
    let read = parse(json.compact().as_bytes(), Format::Json, name, Unknown::Ignored);
    Some(read.ok()?.encode())
}

/// Replaces certificates by names of secrets. Whether there were any.
fn name_secrets(json: &mut Json) -> bool {
    match json {
        Json::List(items) => items.iter_mut().fold(false, |any, item| name_secrets(item) | any),
        Json::Map(fields) => {
            let mut any = false;
            for (field, value) in fields {
                let name = Json::Map(vec![("name".into(), Json::Text("certificates".to_owned()))]);
                match &**field {
                    "tls_certificates" => {
                        *field = "tls_certificate_sds_secret_configs".into();
                        *value = Json::List(vec![name]);
                        any = true;
                    }
                    "validation_context" => {
                        *field = "validation_context_sds_secret_config".into();
                        *value = name;
                        any = true;
                    }
                    _ => any |= name_secrets(value),
                }
            }
            any
        }
        _ => false,
    }
}
