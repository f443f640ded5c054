//! Settings that are written as text.

/// Implements [`Serialize`](serde::Serialize) and [`Deserialize`](serde::Deserialize) as a string for
/// a type with [`Display`](std::fmt::Display) and [`FromStr`](std::str::FromStr). The error of the
/// latter is reported.
#[macro_export]
macro_rules! text_setting {
    ($type:ty) => {
        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
            where
                D: ::serde::Deserializer<'de>,
            {
                let text = <String as ::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }
    };
}
