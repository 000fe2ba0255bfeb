//! What this CPU does fast. The core does not ask: it is told.

use ssh_proto::algorithm::Preset;

/// The preset, with the ciphers ordered by what this CPU does fast, unless it says so already.
pub fn on_this_cpu(preset: Preset) -> Preset {
    preset.or_cpu(has_aes())
}

/// Whether this CPU has instructions for AES and for the multiplication of GCM. Where nothing is
/// known of the architecture, it has none.
pub fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let has = std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    // The one name stands for both there.
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let has = false;
    has
}

#[cfg(test)]
mod tests {
    use ssh_proto::Role;
    use ssh_proto::algorithm::CipherAlgorithm;

    use super::*;

    #[test]
    fn the_first_cipher_is_what_this_cpu_does_fast_unless_it_was_said() {
        let first = |preset: Preset| {
            let ciphers = preset.algorithms(Role::Client).ciphers_client_to_server;
            ciphers.first().copied()
        };
        let slow = Some(CipherAlgorithm::ChaCha20Poly1305);
        for &preset in Preset::ALL {
            assert_eq!(first(on_this_cpu(preset)) == slow, !has_aes());
            assert_eq!(first(on_this_cpu(preset.on_cpu(false))), slow);
            assert_ne!(first(on_this_cpu(preset.on_cpu(true))), slow);
        }
    }

    /// The kernel says the same.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn aes_is_where_the_operating_system_sees_it() {
        let Ok(info) = std::fs::read_to_string("/proc/cpuinfo") else {
            return;
        };
        let Some((_, flags)) = info
            .lines()
            .find(|line| line.starts_with("flags"))
            .and_then(|line| line.split_once(':'))
        else {
            return;
        };
        let has = |flag| flags.split_whitespace().any(|is| is == flag);
        assert_eq!(has_aes(), has("aes") && has("pclmulqdq"));
    }
}
