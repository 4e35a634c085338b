//! Named `f32` tensors in the safetensors format, read with every name and shape stated beforehand.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// A tensor's values and shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    /// Row-major values.
    pub(crate) values: Vec<f32>,
    /// Length of each axis.
    pub(crate) shape: Vec<usize>,
}

/// Tensors by name, sorted, so that equal weights give equal bytes.
pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// What a file was expected to hold and did not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not the format, or cut short.
    #[error("not a whole safetensors file ({0})")]
    Damaged(String),
    /// A tensor that the manifest implies is not there.
    #[error("tensor `{name}` is missing; the file has {}", listed(.found))]
    Missing {
        /// The tensor's name.
        name: String,
        /// Names that are there.
        found: Vec<String>,
    },
    /// A tensor that nothing would read.
    #[error("tensor `{0}` is not one that this model has")]
    Unknown(String),
    /// Another shape than the manifest implies.
    #[error("tensor `{name}` has shape {}, expected {}", shape(.found), shape(.expected))]
    Shape {
        /// The tensor's name.
        name: String,
        /// In the file.
        found: Vec<usize>,
        /// From the manifest.
        expected: Vec<usize>,
    },
    /// Another element type than `f32`.
    #[error("tensor `{name}` holds {found}, expected F32")]
    Type {
        /// The tensor's name.
        name: String,
        /// In the file.
        found: String,
    },
    /// A weight that is not a finite number.
    #[error("tensor `{name}` has a value that is not finite at {at}")]
    NotFinite {
        /// The tensor's name.
        name: String,
        /// Place in row-major order.
        at: usize,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// `3 × 4`.
fn shape(lengths: &[usize]) -> String {
    lengths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ")
}

/// Canonical bytes: tensors in the order of their names.
pub(crate) fn encode(tensors: &Tensors) -> Vec<u8> {
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, t)| (name, &t.shape, t.values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, (*shape).clone(), bytes);
        (name.as_str(), view.expect("a tensor's length is the product of its shape"))
    });
    safetensors::serialize(views, None).expect("in-memory serialisation of checked views")
}

/// Reads tensors; their names and shapes must be exactly the expected ones. Shapes are judged before
/// any value is read.
pub(crate) fn decode(
    bytes: &[u8],
    expected: &BTreeMap<String, Vec<usize>>,
) -> Result<Tensors, Error> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| Error::Damaged(e.to_string()))?;
    let mut found: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
    found.sort();
    for (name, shape) in expected {
        let Ok(view) = file.tensor(name) else {
            return Err(Error::Missing { name: name.clone(), found });
        };
        if view.dtype() != Dtype::F32 {
            return Err(Error::Type { name: name.clone(), found: view.dtype().to_string() });
        }
        if view.shape() != shape {
            let found = view.shape().to_vec();
            return Err(Error::Shape { name: name.clone(), found, expected: shape.clone() });
        }
    }
    if let Some(name) = found.into_iter().find(|name| !expected.contains_key(name)) {
        return Err(Error::Unknown(name));
    }
    expected.iter().map(|(name, shape)| Ok((name.clone(), read(&file, name, shape)?))).collect()
}

fn read(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
    let view = file.tensor(name).map_err(|e| Error::Damaged(e.to_string()))?;
    let values: Vec<f32> = view
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().expect("chunks of four")))
        .collect();
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(Error::NotFinite { name: name.to_owned(), at });
    }
    Ok(Tensor { values, shape: shape.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Tensors, BTreeMap<String, Vec<usize>>) {
        let a = Tensor { values: vec![1.0, -2.5, 0.0, 4.0, 5.0, 6.0], shape: vec![2, 3] };
        let b = Tensor { values: vec![7.0], shape: vec![1] };
        let tensors = Tensors::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        let shapes = tensors.iter().map(|(n, t)| (n.clone(), t.shape.clone())).collect();
        (tensors, shapes)
    }

    #[test]
    fn round_trips() {
        let (tensors, shapes) = sample();
        assert_eq!(decode(&encode(&tensors), &shapes).unwrap(), tensors);
    }

    #[test]
    fn refuses_what_differs() {
        let (tensors, shapes) = sample();
        let bytes = encode(&tensors);
        assert!(matches!(decode(&bytes[..bytes.len() - 1], &shapes), Err(Error::Damaged(_))));
        let mut other = shapes.clone();
        other.insert("a".into(), vec![3, 2]);
        assert!(matches!(decode(&bytes, &other), Err(Error::Shape { .. })));
        let mut other = shapes.clone();
        other.insert("c".into(), vec![1]);
        assert!(matches!(decode(&bytes, &other), Err(Error::Missing { .. })));
        let mut other = shapes.clone();
        other.remove("b");
        assert!(matches!(decode(&bytes, &other), Err(Error::Unknown(name)) if name == "b"));
        let mut bad = tensors;
        bad.get_mut("a").unwrap().values[4] = f32::NAN;
        let error = decode(&encode(&bad), &shapes).unwrap_err();
        assert!(matches!(error, Error::NotFinite { at: 4, .. }), "{error}");
    }
}
