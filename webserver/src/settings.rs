//! The component's arguments: `port=80 sockets=64`, each optional.

/// Where to listen, and with how many connections at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    pub port: u16,
    pub sockets: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 80,
            sockets: 64,
        }
    }
}

impl Settings {
    /// What was wrong, in a sentence.
    pub fn parse(arguments: &str) -> Result<Self, &'static str> {
        let mut settings = Self::default();
        for argument in arguments.split_whitespace() {
            let (name, value) = argument
                .split_once('=')
                .ok_or("an argument is not of the form name=value")?;
            let value = value
                .parse()
                .ok()
                .filter(|value| *value > 0)
                .ok_or("an argument's value is not a number from 1 to 65535")?;
            match name {
                "port" => settings.port = value,
                "sockets" if value <= 1024 => settings.sockets = value,
                "sockets" => return Err("more than 1024 sockets are asked for"),
                _ => return Err("an argument is neither port nor sockets"),
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn reads_both_or_none() {
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
        assert_eq!(
            Settings::parse(" sockets=9  port=8080"),
            Ok(Settings {
                port: 8080,
                sockets: 9
            })
        );
        for text in [
            "port",
            "port=",
            "port=0",
            "port=65536",
            "sockets=2000",
            "x=1",
        ] {
            assert!(Settings::parse(text).is_err(), "{text}");
        }
    }
}
