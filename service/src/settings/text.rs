//! Settings that are written as text.

/// Implements [`Serialize`](serde::Serialize) and [`Deserialize`](serde::Deserialize) as a string for
/// a type with [`Display`](std::fmt::Display) and [`FromStr`](std::str::FromStr). The error of the
/// latter is reported.
#[macro_export]
macro_rules! text_setting {
    ($type:ty) => {
        impl $crate::serde::Serialize for $type {
            fn serialize<S: $crate::serde::Serializer>(
                &self,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> $crate::serde::Deserialize<'de> for $type {
            fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
            where
                D: $crate::serde::Deserializer<'de>,
            {
                let text = <String as $crate::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err($crate::serde::de::Error::custom)
            }
        }
    };
}
