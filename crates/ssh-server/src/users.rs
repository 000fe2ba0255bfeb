//! Who the users are: the caller's answer to "which keys" and "which password".
//!
//! User names come from the peer and are opaque bytes: nothing here makes a path or a command of
//! them, and neither should an implementation without looking at them (A18).

use alloc::{string::String, sync::Arc, vec::Vec};
use core::fmt;

use ssh_keys::authorized_keys::AuthorizedKeys;
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

/// Who may come in with what. What is not answered is denied.
///
/// Whether a user exists must not be visible from outside (A14): both methods are called for
/// unknown names as well, and take as long for them. In particular a password of an unknown user
/// is to be hashed like any other.
pub trait Users {
    /// The keys of a user; `None` for a user without keys or an unknown one.
    fn authorized_keys(&mut self, _user: &[u8]) -> Option<Arc<AuthorizedKeys>> {
        None
    }

    /// Whether this is the password of the user.
    fn check_password(&mut self, _user: &[u8], _password: &[u8]) -> PasswordCheck {
        PasswordCheck::Wrong
    }
}

/// Whether a password is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum PasswordCheck {
    /// It is.
    Right,
    /// It is not, or there is no such user.
    Wrong,
    /// That takes time: [`Step::Ask`](crate::Step::Ask) asks for the answer.
    Outside,
}

/// Users that are written down in the program: for tests, demonstrations and devices. Passwords
/// are held as they are, not hashed. Clones share the users, so that each connection can have one.
#[derive(Clone, Default)]
pub struct FixedUsers {
    users: Arc<Vec<User>>,
}

#[derive(Clone, Default)]
struct User {
    name: String,
    keys: Option<Arc<AuthorizedKeys>>,
    password: Option<Zeroizing<String>>,
}

impl FixedUsers {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// A user, who may be known already, gets these keys.
    #[must_use]
    pub fn with_keys(self, user: &str, keys: Arc<AuthorizedKeys>) -> Self {
        self.with(user, |user| user.keys = Some(keys))
    }

    /// A user, who may be known already, gets this password. An empty one lets nobody in.
    #[must_use]
    pub fn with_password(self, user: &str, password: impl Into<Zeroizing<String>>) -> Self {
        self.with(user, |user| user.password = Some(password.into()))
    }

    fn with(mut self, name: &str, set: impl FnOnce(&mut User)) -> Self {
        let users = Arc::make_mut(&mut self.users);
        if let Some(user) = users.iter_mut().find(|user| user.name == name) {
            set(user);
            return self;
        }
        let mut user = User {
            name: name.into(),
            ..User::default()
        };
        set(&mut user);
        users.push(user);
        self
    }

    fn find(&self, name: &[u8]) -> Option<&User> {
        self.users.iter().find(|user| user.name.as_bytes() == name)
    }
}

impl fmt::Debug for FixedUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.users.iter().map(|user| &user.name))
            .finish()
    }
}

impl Users for FixedUsers {
    fn authorized_keys(&mut self, user: &[u8]) -> Option<Arc<AuthorizedKeys>> {
        self.find(user)?.keys.clone()
    }

    fn check_password(&mut self, user: &[u8], password: &[u8]) -> PasswordCheck {
        let known = self.find(user).and_then(|user| user.password.as_ref());
        // Compared for unknown users too.
        let right = known.map_or("", |password| password.as_str());
        if same_password(right.as_bytes(), password) && !right.is_empty() {
            PasswordCheck::Right
        } else {
            PasswordCheck::Wrong
        }
    }
}

/// The longest password that [`same_password`] compares, in bytes.
const MAX_PASSWORD: usize = 1024;

/// Whether two passwords are the same, in a time that depends on neither. Above 1024 bytes nothing
/// is the same as anything.
///
/// For fixed passwords of tests and devices. A stored password is to be hashed, with a hash that is
/// slow on purpose.
pub fn same_password(a: &[u8], b: &[u8]) -> bool {
    let (padded_a, fits_a) = padded(a);
    let (padded_b, fits_b) = padded(b);
    let same = padded_a[..].ct_eq(&padded_b[..]) & a.len().ct_eq(&b.len());
    (same & fits_a & fits_b).into()
}

fn padded(password: &[u8]) -> (Zeroizing<[u8; MAX_PASSWORD]>, Choice) {
    let mut padded = Zeroizing::new([0; MAX_PASSWORD]);
    for (place, byte) in padded.iter_mut().zip(password) {
        *place = *byte;
    }
    (padded, u8::from(password.len() <= MAX_PASSWORD).into())
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn passwords_are_the_same_only_byte_for_byte() {
        assert!(same_password(b"", b"") && same_password(b"secret", b"secret"));
        assert!(!same_password(b"secret", b"secreu"));
        assert!(!same_password(b"secret", b"secret\0"));
        assert!(!same_password(b"", b"\0"));
        let long = vec![b'x'; MAX_PASSWORD + 1];
        assert!(same_password(&long[1..], &long[1..]));
        assert!(!same_password(&long, &long));
    }

    #[test]
    fn an_empty_password_lets_nobody_in() {
        let mut users = FixedUsers::new().with_password("alice", String::new());
        for user in [&b"alice"[..], b"bob", b""] {
            assert_eq!(users.check_password(user, b""), PasswordCheck::Wrong);
        }
    }

    #[test]
    fn a_clone_shares_the_users_until_one_of_them_gets_another() {
        let mut one = FixedUsers::new().with_password("alice", String::from("a"));
        let mut two = one.clone();
        assert!(Arc::ptr_eq(&one.users, &two.users));
        two = two.with_password("bob", String::from("b"));
        assert_eq!(two.check_password(b"alice", b"a"), PasswordCheck::Right);
        assert_eq!(two.check_password(b"bob", b"b"), PasswordCheck::Right);
        assert_eq!(one.check_password(b"bob", b"b"), PasswordCheck::Wrong);
    }

    #[test]
    fn users_are_printed_without_passwords() {
        let users = FixedUsers::new().with_password("alice", String::from("hunter2"));
        assert_eq!(alloc::format!("{users:?}"), r#"["alice"]"#);
    }
}
