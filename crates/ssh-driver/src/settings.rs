//! What every client's options hold: [`Settings`].

use std::fmt;
use std::time::Duration;

use ssh_client::Login;
use ssh_proto::algorithm::Preset;
use ssh_proto::config::{ClientConfig, Keepalive};

use crate::cpu::on_this_cpu;
use crate::observer::{Nobody, Observer};

/// The methods that every driver's options have, for a type with a field `settings`: written once,
/// since a method of another crate's type cannot be.
#[doc(hidden)]
#[macro_export]
macro_rules! settings_methods {
    () => {
        /// Sets the configuration of the protocol: algorithms, limits, deadlines. How long logging in
        /// may take is `deadlines.authentication` there. A keepalive there goes before the one here.
        /// Algorithms there are offered in their order, whatever this CPU does fast; those that were
        /// set before are forgotten.
        #[must_use]
        pub fn config(mut self, config: $crate::names::ClientConfig) -> Self {
            self.settings.config = config;
            self
        }

        /// Offers the algorithms of this preset, and requires strict key exchange where it does. What
        /// this CPU does fast goes first, unless the preset says what does. The default is
        /// `Preset::default()`.
        #[must_use]
        pub fn preset(mut self, preset: $crate::names::Preset) -> Self {
            let preset = $crate::on_this_cpu(preset);
            self.settings.config.set_preset(preset);
            self
        }

        /// Changes one list of algorithms, or both directions of one, in the syntax of OpenSSH: names
        /// instead of those that are there, `+` adds some, `-` takes some away, `^` puts some to the
        /// front; `*` and `?` are wildcards. `Algorithms::set` of `ssh-proto` says more.
        ///
        /// # Errors
        ///
        /// The text makes no list: an unknown name, for example.
        pub fn algorithms(
            mut self,
            list: $crate::names::AlgorithmList,
            text: &str,
        ) -> Result<Self, $crate::names::ListError> {
            let algorithms = &mut self.settings.config.transport.algorithms;
            algorithms.set(list, text)?;
            Ok(self)
        }

        /// Sets how long connecting to all addresses may take together; `None` leaves it to the
        /// operating system, as it is for finding the addresses of a name where that cannot be
        /// given up.
        #[must_use]
        pub const fn connect_timeout(mut self, timeout: Option<core::time::Duration>) -> Self {
            self.settings.connect_timeout = timeout;
            self
        }

        /// Sets how long opening a channel, a request on a channel (`exec`, `shell`, `pty`, ...) or
        /// `Client::rekey` may take; `None` is for ever, as long as the connection
        /// lives.
        #[must_use]
        pub const fn request_timeout(mut self, timeout: Option<core::time::Duration>) -> Self {
            self.settings.request_timeout = timeout;
            self
        }

        /// Sets how many bytes of output `Client::exec` collects.
        #[must_use]
        pub const fn exec_limit(mut self, bytes: usize) -> Self {
            self.settings.exec_limit = bytes;
            self
        }

        /// Asks a silent server for a sign of life after `interval`, and gives it up after `count`
        /// questions without an answer.
        #[must_use]
        pub const fn keepalive(mut self, interval: core::time::Duration, count: u32) -> Self {
            self.settings.keepalive = Some($crate::names::Keepalive { interval, count });
            self
        }

        /// Never asks for a sign of life: a server that vanishes without a word is then noticed by
        /// timeouts only, where there are any.
        #[must_use]
        pub const fn without_keepalive(mut self) -> Self {
            self.settings.keepalive = None;
            self
        }

        /// Sets who is told what happens.
        #[must_use]
        pub fn observer(mut self, observer: impl $crate::Observer) -> Self {
            self.settings.observer = Box::new(observer);
            self
        }
    };
}

/// What the macro above names.
#[doc(hidden)]
pub mod names {
    pub use ssh_proto::algorithm::{AlgorithmList, ListError, Preset};
    pub use ssh_proto::config::{ClientConfig, Keepalive};
}

/// Asked for unless told otherwise: a peer that vanished is noticed within two and a half
/// minutes.
pub const KEEPALIVE: Keepalive = Keepalive {
    interval: Duration::from_secs(30),
    count: 3,
};

/// How a client connects and logs in, but for the questions that a login asks: how those are put
/// is the driver's business.
pub struct Settings {
    /// Whom to trust and what to show.
    pub login: Login,
    /// The protocol: algorithms, limits, deadlines.
    pub config: ClientConfig,
    /// Holds where the configuration has none.
    pub keepalive: Option<Keepalive>,
    /// How long connecting to all addresses may take together.
    pub connect_timeout: Option<Duration>,
    /// How long opening a channel, a request or a key exchange may take.
    pub request_timeout: Option<Duration>,
    /// How many bytes of output are collected of a command.
    pub exec_limit: usize,
    /// Is told what happens.
    pub observer: Box<dyn Observer>,
}

impl Settings {
    /// Connects within 30 seconds, gives a request 2 minutes to be answered, asks a server that has
    /// been silent for 30 seconds for a sign of life and gives it up after three such questions, and
    /// collects at most 64 MiB of a command's output.
    pub fn new(login: Login) -> Self {
        Self {
            login,
            config: on_this_cpu(Preset::default()).into(),
            keepalive: Some(KEEPALIVE),
            connect_timeout: Some(Duration::from_secs(30)),
            request_timeout: Some(Duration::from_secs(120)),
            exec_limit: 64 * 1024 * 1024,
            observer: Box::new(Nobody),
        }
    }

    /// The configuration of the core, with what the login and the keepalive want.
    pub fn client_config(&mut self) -> ClientConfig {
        let mut config = self.config.clone();
        let keepalive = &mut config.transport.deadlines.keepalive;
        *keepalive = keepalive.or(self.keepalive);
        self.login.configure(&mut config);
        config
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("login", &self.login)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ssh_client::Trust;

    use super::*;
    use crate::cpu::has_aes;

    use options::Options;

    #[expect(
        unreachable_pub,
        dead_code,
        reason = "the methods are those of drivers, where they are public and used"
    )]
    mod options {
        use crate::settings::Settings;

        /// As the options of a driver are.
        pub(super) struct Options {
            pub(super) settings: Settings,
        }

        impl Options {
            settings_methods!();
        }
    }

    #[test]
    fn ciphers_are_ordered_for_this_cpu_unless_the_program_orders_them() {
        let options = || Options {
            settings: Settings::new(Login::new("alice", Trust::ask())),
        };
        let chacha_is_first = |options: Options| {
            let algorithms = options.settings.config.transport.algorithms;
            let first = algorithms.ciphers_client_to_server.first();
            first.is_some_and(|cipher| cipher.name().starts_with("chacha20"))
        };
        let slow = !has_aes();
        assert_eq!(chacha_is_first(options()), slow);
        assert_eq!(chacha_is_first(options().preset(Preset::legacy())), slow);
        assert!(chacha_is_first(options().preset(Preset::for_cpu(false))));
        assert!(!chacha_is_first(options().preset(Preset::for_cpu(true))));
        assert!(!chacha_is_first(options().config(ClientConfig::default())));
    }
}
