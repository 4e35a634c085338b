//! The server-side functions. Their names carry a digest of their text, so that two versions of this
//! program share a server, and "found" means "the same".

use ::redis::Cmd;

const TEXT: &str = include_str!("functions.lua");
const DIGEST_HEX: usize = 16;

/// Names of the functions, and the library to load them from.
#[derive(Debug)]
pub(super) struct Functions {
    pub(super) claim: String,
    pub(super) commit: String,
    pub(super) scan: String,
    library: String,
}

impl Functions {
    pub(super) fn new() -> Self {
        let digest = &blake3::hash(TEXT.as_bytes()).to_hex()[..DIGEST_HEX];
        let name = |function: &str| format!("twofold_{function}_{digest}");
        let text = TEXT.replace("DIGEST", digest);
        Self {
            claim: name("claim"),
            commit: name("commit"),
            scan: name("scan"),
            library: format!("#!lua name=twofold_{digest}\n{text}"),
        }
    }

    /// Loads them; "already exists" is as good.
    pub(super) fn load(&self) -> Cmd {
        let mut command = Cmd::new();
        command.arg("FUNCTION").arg("LOAD").arg(&self.library);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_registers_the_names_that_are_called() {
        let functions = Functions::new();
        for name in [&functions.claim, &functions.commit, &functions.scan] {
            assert!(functions.library.contains(&format!("'{name}'")), "{name}");
        }
        assert!(!functions.library.contains("DIGEST"));
        assert!(functions.library.starts_with("#!lua name=twofold_"));
    }
}
