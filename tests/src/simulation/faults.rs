//! What may go wrong in a simulation. Each fault can be switched off: it is drawn all the same, so that the rest of a seed's
//! history stays nearly as it is, and so a history that breaks a law can be made smaller.

use std::fmt;
use std::str::FromStr;

/// Something that may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server fails at one of its fail points.
    ServerFails,
    /// The disk of the server is full for a while. Only a file can be made so.
    DiskFull,
    /// The server forgets what it has only in memory.
    ServerRestarts,
    /// The server goes back to a backup.
    ServerRestored,
    /// A pull fails at one of the server's fail points.
    PullFails,
    /// Everything below the horizon is deleted.
    Purge,
    /// Deleting ends in the middle.
    PurgeFails,
    /// A device dies while it writes.
    DeviceKilled,
    /// An app is installed anew.
    DeviceReinstalled,
    /// A device goes back to a backup.
    DeviceRestored,
    /// A device's clock is wrong.
    DeviceClock,
    /// A device is shut out.
    DeviceRevoked,
    /// An app is replaced by another version.
    DeviceUpdated,
    /// Pushes are lost, repeated, late and mixed.
    Push,
    /// Answers are lost, or not waited for.
    Answer,
    /// A stream is cut.
    PullCut,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::ServerFails,
        Self::DiskFull,
        Self::ServerRestarts,
        Self::ServerRestored,
        Self::PullFails,
        Self::Purge,
        Self::PurgeFails,
        Self::DeviceKilled,
        Self::DeviceReinstalled,
        Self::DeviceRestored,
        Self::DeviceClock,
        Self::DeviceRevoked,
        Self::DeviceUpdated,
        Self::Push,
        Self::Answer,
        Self::PullCut,
    ];

    fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{self:?}");
        for (index, letter) in name.chars().enumerate() {
            let dash = if index > 0 && letter.is_uppercase() { "-" } else { "" };
            write!(f, "{dash}{}", letter.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(|fault| fault.to_string());
        let found = Self::ALL.into_iter().zip(names()).find(|(_, name)| name == text).map(|(fault, _)| fault);
        found.ok_or_else(|| format!("one of {}", names().join(", ")))
    }
}

/// The faults that are switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Without(u16);

impl Without {
    /// And this one.
    #[must_use]
    pub fn and(self, fault: Fault) -> Self {
        Self(self.0 | fault.bit())
    }

    /// Whether a fault is switched off.
    #[must_use]
    pub fn contains(self, fault: Fault) -> bool {
        self.0 & fault.bit() != 0
    }

    /// Those that are switched off.
    pub fn faults(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |fault| self.contains(*fault))
    }
}

impl FromIterator<Fault> for Without {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        faults.into_iter().fold(Self::default(), Self::and)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_by_its_name() {
        assert_eq!(Fault::ServerRestored.to_string(), "server-restored");
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse(), Ok(fault));
            assert_eq!(Without::from_iter([fault]).faults().collect::<Vec<_>>(), [fault]);
        }
        assert!("server".parse::<Fault>().is_err());
    }
}
