//! What do all replicas of one tidegate share?

use tidegate_proxy::drain;

use crate::guardian::Guardian;
use crate::instance::Instance;
use crate::output::Terminal;
use crate::ports::Ports;

/// The surroundings in which replicas run. Clones are the same surroundings.
#[derive(Clone, Debug)]
pub struct Host {
    /// The id of this run; every replica carries it.
    pub instance: Instance,
    /// Ends the replicas if tidegate is killed.
    pub guardian: Guardian,
    /// Where their output goes.
    pub terminal: Terminal,
    /// Where their ports come from.
    pub ports: Ports,
    /// The drain that waits for the replicas' tasks: a guard is held until a replica is gone. Not the one of the
    /// listeners, whose requests must end before the replicas do.
    pub tasks: drain::Watch,
}

#[cfg(test)]
pub(crate) mod stage;
