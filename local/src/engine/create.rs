//! How does an image become a running container with a published port?

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, NetworkSettings, PortBinding};
use bollard::query_parameters::{CreateContainerOptions, CreateImageOptions};
use futures_util::TryStreamExt;

use super::ContainerLaunch;
use super::error::{EngineError, is_not_found, message};
use crate::environment::expand;
use crate::instance::Instance;
use crate::launch::PullPolicy;
use crate::names::INSTANCE_LABEL;
use crate::output::ReplicaOutput;

/// The tag of an image that names none.
const DEFAULT_TAG: &str = "latest";

/// Makes sure that the image is here, as its policy demands.
pub(super) async fn provide_image(
    docker: &Docker,
    launch: &ContainerLaunch,
    output: &ReplicaOutput,
) -> Result<(), EngineError> {
    let image = &launch.plan.image;
    let is_here = match docker.inspect_image(image).await {
        Ok(_found) => true,
        Err(error) if is_not_found(&error) => false,
        Err(error) => return Err(EngineError::refused("a look at the image", error)),
    };
    match (launch.plan.pull, is_here) {
        (PullPolicy::IfNotPresent | PullPolicy::Never, true) => Ok(()),
        (PullPolicy::Never, false) => Err(EngineError::ImageMissing(image.clone())),
        (PullPolicy::Always, _) | (PullPolicy::IfNotPresent, false) => {
            output.line(&format!("(pulling image {image})"));
            pull(docker, image).await
        }
    }
}

async fn pull(docker: &Docker, image: &str) -> Result<(), EngineError> {
    let options = CreateImageOptions {
        from_image: Some(with_tag(image)),
        ..CreateImageOptions::default()
    };
    let progress = docker.create_image(Some(options), None, None);
    let pulled = progress.try_for_each(|_step| std::future::ready(Ok(()))).await;
    pulled.map_err(|error| EngineError::Pull {
        image: image.to_owned(),
        message: message(error),
    })
}

/// Without a tag the engine would pull all there are.
fn with_tag(image: &str) -> String {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    if name.contains([':', '@']) {
        image.to_owned()
    } else {
        format!("{image}:{DEFAULT_TAG}")
    }
}

/// Creates and starts the container.
pub(super) async fn start(
    docker: &Docker,
    launch: &ContainerLaunch,
    instance: &Instance,
    container: &str,
) -> Result<(), EngineError> {
    let options = CreateContainerOptions {
        name: Some(container.to_owned()),
        ..CreateContainerOptions::default()
    };
    let created = docker
        .create_container(Some(options), body(launch, instance))
        .await;
    created.map_err(|error| EngineError::refused("to create the container", error))?;
    let started = docker.start_container(container, None).await;
    started.map_err(|error| EngineError::refused("to start the container", error))
}

fn body(launch: &ContainerLaunch, instance: &Instance) -> ContainerCreateBody {
    let plan = &launch.plan;
    // Without a host port the engine picks one that is free.
    let binding = PortBinding {
        host_ip: Some(Ipv4Addr::LOCALHOST.to_string()),
        host_port: Some(String::new()),
    };
    let arguments: Vec<String> = plan
        .arguments
        .iter()
        .map(|word| expand(word, &launch.environment))
        .collect();
    ContainerCreateBody {
        image: Some(plan.image.clone()),
        cmd: (!arguments.is_empty()).then_some(arguments),
        env: Some(assignments(&launch.environment)),
        working_dir: plan.working_dir.clone(),
        labels: Some(HashMap::from([(INSTANCE_LABEL.to_owned(), instance.to_string())])),
        exposed_ports: Some(vec![port_key(plan.port)]),
        host_config: Some(HostConfig {
            port_bindings: Some(HashMap::from([(port_key(plan.port), Some(vec![binding]))])),
            tmpfs: Some(
                plan.empty_dirs
                    .iter()
                    .map(|path| (path.clone(), String::new()))
                    .collect(),
            ),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn assignments(environment: &BTreeMap<String, String>) -> Vec<String> {
    environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn port_key(port: u16) -> String {
    format!("{port}/tcp")
}

/// Where a running container's port is published on this machine.
pub(super) fn published(settings: Option<NetworkSettings>, port: u16) -> Option<SocketAddr> {
    let mut ports = settings?.ports?;
    let bindings = ports.remove(&port_key(port))??;
    bindings.into_iter().find_map(|binding| {
        let address: IpAddr = binding.host_ip.as_deref().unwrap_or_default().parse().ok()?;
        let address = if address.is_unspecified() {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            address
        };
        Some(SocketAddr::new(address, binding.host_port?.parse().ok()?))
    })
}
