//! Which endpoint takes a request, by an extension (`load_balancing_policy`)?

use envoy_types::pb::envoy::config::cluster::v3::LoadBalancingPolicy;
use envoy_types::pb::envoy::extensions::load_balancing_policies as policies;
use envoy_types::pb::envoy::extensions::load_balancing_policies::common::v3::locality_lb_config::LocalityConfigSpecifier;
use envoy_types::pb::envoy::extensions::load_balancing_policies::common::v3::{
    ConsistentHashingLbConfig, LocalityLbConfig, SlowStartConfig,
};
use envoy_types::pb::envoy::extensions::load_balancing_policies::least_request::v3::least_request::SelectionMethod;
use envoy_types::pb::envoy::extensions::load_balancing_policies::ring_hash::v3::ring_hash::HashFunction;
use envoy_types::pb::google::protobuf::{Any, UInt64Value};
use prost::Name;
use tidegate_proxy::cluster::balance::SlowStart;
use tidegate_proxy::cluster::{Balance, BalanceSettings};

use super::balance::{least_request, maglev, ring_hash, slow_start};
use crate::translate::Reject;
use crate::translate::message::{number, truth, unpack};
use crate::translate::notes::Notes;

/// Takes the first policy that is known, as Envoy does.
pub(super) fn read(
    cluster: &str,
    message: &LoadBalancingPolicy,
    settings: &mut BalanceSettings,
    notes: &mut Notes,
) -> Result<(), Reject> {
    let mut reader = Reader {
        cluster,
        settings,
        notes,
        depth: 0,
    };
    reader.list(message)
}

struct Reader<'a> {
    cluster: &'a str,
    settings: &'a mut BalanceSettings,
    notes: &'a mut Notes,
    /// How many policies this one is inside of.
    depth: u32,
}

impl Reader<'_> {
    fn list(&mut self, message: &LoadBalancingPolicy) -> Result<(), Reject> {
        let mut names = Vec::new();
        for (index, policy) in message.policies.iter().enumerate() {
            let Some(extension) = &policy.typed_extension_config else {
                continue;
            };
            names.push(extension.name.as_str());
            let Some(packed) = &extension.typed_config else {
                continue;
            };
            if self.take(packed, &format!("load_balancing_policy.policies[{index}]"))? {
                return Ok(());
            }
        }
        Err(Reject::Resource(format!(
            "cluster: didn't find a registered load balancer factory implementation for cluster: '{}' with names from [{}]",
            self.cluster,
            names.join(", ")
        )))
    }

    /// Says whether Envoy knows the policy.
    fn take(&mut self, packed: &Any, path: &str) -> Result<bool, Reject> {
        let url = packed.type_url.as_str();
        if url == policies::round_robin::v3::RoundRobin::type_url() {
            self.round_robin(&unpack(packed)?)?;
        } else if url == policies::least_request::v3::LeastRequest::type_url() {
            self.least_request(&unpack(packed)?, path)?;
        } else if url == policies::random::v3::Random::type_url() {
            let random: policies::random::v3::Random = unpack(packed)?;
            self.settings.policy = Balance::Random;
            self.locality(random.locality_lb_config.as_ref());
        } else if url == policies::ring_hash::v3::RingHash::type_url() {
            self.ring_hash(&unpack(packed)?, path)?;
        } else if url == policies::maglev::v3::Maglev::type_url() {
            let table: policies::maglev::v3::Maglev = unpack(packed)?;
            self.settings.policy = Balance::Maglev(maglev(table.table_size.map(|size| size.value))?);
            self.settings.by_locality |= table.locality_weighted_lb_config.is_some();
            self.hashing(table.consistent_hashing_lb_config.as_ref(), path)?;
        } else if url == policies::wrr_locality::v3::WrrLocality::type_url() {
            self.by_locality(&unpack(packed)?, path)?;
        } else if url
            == policies::client_side_weighted_round_robin::v3::ClientSideWeightedRoundRobin::type_url()
        {
            self.by_reports(&unpack(packed)?, path)?;
        } else if KNOWN.iter().any(|known| url.ends_with(known)) {
            return Err(Reject::unsupported(path));
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn round_robin(&mut self, message: &policies::round_robin::v3::RoundRobin) -> Result<(), Reject> {
        self.settings.policy = Balance::RoundRobin(self.slow_start(message.slow_start_config.as_ref())?);
        self.locality(message.locality_lb_config.as_ref());
        Ok(())
    }

    fn least_request(
        &mut self,
        message: &policies::least_request::v3::LeastRequest,
        path: &str,
    ) -> Result<(), Reject> {
        let full = message.selection_method == SelectionMethod::FullScan as i32
            || truth(message.enable_full_scan.as_ref());
        self.notes.ignored(format_args!("{path}.selection_method"), full);
        let choices = number(message.choice_count.as_ref());
        if choices.is_some_and(|choices| choices < 2) {
            let of = crate::translate::constraint::Rules::of("LeastRequest");
            let broken = of.broken("ChoiceCount", "value must be greater than or equal to 2");
            return Err(broken.of_resource());
        }
        let choice = least_request(choices, message.active_request_bias.as_ref(), self.notes);
        self.settings.policy =
            Balance::LeastRequest(choice, self.slow_start(message.slow_start_config.as_ref())?);
        self.locality(message.locality_lb_config.as_ref());
        Ok(())
    }

    fn ring_hash(&mut self, message: &policies::ring_hash::v3::RingHash, path: &str) -> Result<(), Reject> {
        if message.hash_function == HashFunction::MurmurHash2 as i32 {
            return Err(Reject::unsupported(format_args!("{path}.hash_function")));
        }
        if message.hash_balance_factor.is_some() {
            return Err(Reject::unsupported(format_args!("{path}.hash_balance_factor")));
        }
        let size = |size: Option<UInt64Value>| size.map(|size| size.value);
        let ring = ring_hash(size(message.minimum_ring_size), size(message.maximum_ring_size))?;
        self.settings.policy = Balance::RingHash(ring);
        self.settings.placed_by_name |= message.use_hostname_for_hashing;
        self.settings.by_locality |= message.locality_weighted_lb_config.is_some();
        self.hashing(message.consistent_hashing_lb_config.as_ref(), path)
    }

    fn by_locality(
        &mut self,
        message: &policies::wrr_locality::v3::WrrLocality,
        path: &str,
    ) -> Result<(), Reject> {
        self.settings.by_locality = true;
        let Some(inner) = &message.endpoint_picking_policy else {
            return Err(Reject::unsupported(format_args!(
                "{path}.endpoint_picking_policy"
            )));
        };
        self.depth += 1;
        if self.depth > crate::limits::NESTED_POLICIES_MAX {
            return Err(Reject::unsupported(format_args!(
                "{path}.endpoint_picking_policy"
            )));
        }
        self.list(inner)
    }

    /// Weights that endpoints report come of nowhere here: all are equal, as they are until a report comes.
    fn by_reports(
        &mut self,
        message: &policies::client_side_weighted_round_robin::v3::ClientSideWeightedRoundRobin,
        path: &str,
    ) -> Result<(), Reject> {
        self.notes
            .add(path, "endpoints do not report their load: it is round robin");
        self.settings.policy = Balance::RoundRobin(self.slow_start(message.slow_start_config.as_ref())?);
        Ok(())
    }

    fn slow_start(&mut self, config: Option<&SlowStartConfig>) -> Result<Option<SlowStart>, Reject> {
        match config {
            Some(config) => slow_start(
                config.slow_start_window.as_ref(),
                config.aggression.as_ref(),
                config.min_weight_percent.as_ref(),
                self.notes,
            ),
            None => Ok(None),
        }
    }

    fn locality(&mut self, config: Option<&LocalityLbConfig>) {
        match config.and_then(|config| config.locality_config_specifier.as_ref()) {
            Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => self.settings.by_locality = true,
            Some(LocalityConfigSpecifier::ZoneAwareLbConfig(_)) => {
                self.notes
                    .ignored("load_balancing_policy: zone_aware_lb_config", true);
            }
            None => {}
        }
    }

    fn hashing(&mut self, config: Option<&ConsistentHashingLbConfig>, path: &str) -> Result<(), Reject> {
        let Some(config) = config else {
            return Ok(());
        };
        let path = format!("{path}.consistent_hashing_lb_config");
        if config.hash_balance_factor.is_some() {
            return Err(Reject::unsupported(format_args!("{path}.hash_balance_factor")));
        }
        if !config.hash_policy.is_empty() {
            return Err(Reject::unsupported(format_args!("{path}.hash_policy")));
        }
        self.settings.placed_by_name |= config.use_hostname_for_hashing;
        Ok(())
    }
}

/// Policies of Envoy that send requests where nothing here would.
const KNOWN: [&str; 8] = [
    "envoy.extensions.load_balancing_policies.subset.v3.Subset",
    "envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost",
    "envoy.extensions.load_balancing_policies.pick_first.v3.PickFirst",
    "envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided",
    "envoy.extensions.load_balancing_policies.random_subsetting.v3.RandomSubsetting",
    "envoy.extensions.load_balancing_policies.load_aware_locality.v3.LoadAwareLocality",
    "envoy.extensions.load_balancing_policies.dynamic_modules.v3.DynamicModulesLoadBalancerConfig",
    "envoy.extensions.load_balancing_policies.dynamic_forward_proxy.v3.DynamicForwardProxy",
];
