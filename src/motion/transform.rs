//! Lists of transform functions, and what is between two of them (CSS Transforms 1, 11 to 13; where
//! the specification leaves a choice, as Chromium has it).

use super::expression::{Expression, Space};

/// The most functions in one list.
pub(super) const FUNCTIONS_MAX: usize = 16;

/// No element of a pose's matrix is beyond this: products of great scales stay finite.
const ELEMENT_MAX: f64 = 1e9;

/// The primitive that a transform function interpolates as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Translate,
    /// In degrees, clockwise.
    Rotate,
    Scale,
    /// In degrees; `skew(a)` is another function than `skewX(a)`.
    Skew,
    SkewX,
    SkewY,
    /// Its last two elements are lengths.
    Matrix,
    /// The rest of two lists that differ in kind, blended.
    Blended,
}

/// A function as it is declared: the first so many arguments as its kind has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Declared {
    pub(super) kind: Kind,
    pub(super) arguments: Vec<Expression>,
}

impl Declared {
    /// `across` and `down` are the spaces of the box's width and height.
    fn at(&self, across: &Space<'_>, down: &Space<'_>) -> Function {
        let mut arguments = [0.0; 6];
        for (i, (to, from)) in arguments.iter_mut().zip(&self.arguments).enumerate() {
            *to = from.at(if i % 2 == 0 { across } else { down });
        }
        Function {
            kind: self.kind,
            arguments,
        }
    }
}

/// A function whose arguments are numbers: device px, degrees, factors, elements.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Function {
    kind: Kind,
    arguments: [f64; 6],
}

impl Function {
    /// The function of the same kind that does nothing.
    fn identity(kind: Kind) -> Self {
        let arguments = match kind {
            Kind::Translate | Kind::Rotate | Kind::Skew | Kind::SkewX | Kind::SkewY => [0.0; 6],
            Kind::Scale => [1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            Kind::Matrix | Kind::Blended => Matrix::IDENTITY.0,
        };
        Self { kind, arguments }
    }

    fn matrix(&self) -> Matrix {
        let [a, b, ..] = self.arguments;
        match self.kind {
            Kind::Translate => Matrix::translation(a, b),
            Kind::Rotate => {
                let (sin, cos) = a.to_radians().sin_cos();
                Matrix([cos, sin, -sin, cos, 0.0, 0.0])
            }
            Kind::Scale => Matrix([a, 0.0, 0.0, b, 0.0, 0.0]),
            Kind::Skew => Matrix([
                1.0,
                b.to_radians().tan(),
                a.to_radians().tan(),
                1.0,
                0.0,
                0.0,
            ]),
            Kind::SkewX => Matrix([1.0, 0.0, a.to_radians().tan(), 1.0, 0.0, 0.0]),
            Kind::SkewY => Matrix([1.0, a.to_radians().tan(), 0.0, 1.0, 0.0, 0.0]),
            Kind::Matrix | Kind::Blended => Matrix(self.arguments),
        }
    }

    /// Between two of one kind.
    fn blend(&self, to: &Self, share: f64) -> Self {
        let arguments = match self.kind {
            Kind::Matrix | Kind::Blended => self.matrix().blend(to.matrix(), share).0,
            _ => std::array::from_fn(|i| {
                let (from, to) = (self.arguments[i], to.arguments[i]);
                from + (to - from) * share
            }),
        };
        Self {
            kind: self.kind,
            arguments,
        }
    }
}

/// A list of functions, without an allocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    functions: [Function; FUNCTIONS_MAX],
    len: usize,
}

impl List {
    const EMPTY: Self = Self {
        functions: [Function {
            kind: Kind::Blended,
            arguments: Matrix::IDENTITY.0,
        }; FUNCTIONS_MAX],
        len: 0,
    };

    /// What the declared functions are; those beyond [`FUNCTIONS_MAX`] have been refused.
    pub(super) fn new(declared: &[Declared], across: &Space<'_>, down: &Space<'_>) -> Self {
        let mut list = Self::EMPTY;
        for function in declared {
            list.push(function.at(across, down));
        }
        list
    }

    fn push(&mut self, function: Function) {
        if let Some(slot) = self.functions.get_mut(self.len) {
            *slot = function;
            self.len += 1;
        }
    }

    fn functions(&self) -> &[Function] {
        &self.functions[..self.len]
    }

    /// Function by function as long as the kinds are the same, the shorter list filled up with
    /// identities; from the first that differ, all the rest as one matrix.
    pub(super) fn blend(&self, to: &Self, share: f64) -> Self {
        let (from, to) = (self.functions(), to.functions());
        let differs = from.iter().zip(to).position(|(a, b)| a.kind != b.kind);
        let same = differs.unwrap_or(from.len().max(to.len()));
        let mut list = Self::EMPTY;
        for i in 0..same {
            list.push(match (from.get(i), to.get(i)) {
                (Some(from), Some(to)) => from.blend(to, share),
                (Some(from), None) => from.blend(&Function::identity(from.kind), share),
                (None, Some(to)) => Function::identity(to.kind).blend(to, share),
                (None, None) => continue,
            });
        }
        if differs.is_some() {
            let (from, to) = (product(&from[same..]), product(&to[same..]));
            list.push(Function {
                kind: Kind::Blended,
                arguments: from.blend(to, share).0,
            });
        }
        list
    }

    /// The whole list about the point `(x, y)`.
    pub(super) fn about(&self, (x, y): (f64, f64)) -> [f64; 6] {
        let matrix = self
            .functions()
            .iter()
            .fold(Matrix::translation(x, y), |m, f| m.times(f.matrix()))
            .times(Matrix::translation(-x, -y));
        matrix.0.map(|element| {
            if element.is_finite() {
                element.clamp(-ELEMENT_MAX, ELEMENT_MAX)
            } else {
                0.0
            }
        })
    }
}

fn product(functions: &[Function]) -> Matrix {
    functions
        .iter()
        .fold(Matrix::IDENTITY, |m, f| m.times(f.matrix()))
}

/// A CSS `matrix(a, b, c, d, e, f)`.
#[derive(Clone, Copy, Debug)]
struct Matrix([f64; 6]);

impl Matrix {
    const IDENTITY: Self = Self([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);

    fn translation(x: f64, y: f64) -> Self {
        Self([1.0, 0.0, 0.0, 1.0, x, y])
    }

    /// This transform applied after `inner`.
    fn times(self, Self([a2, b2, c2, d2, e2, f2]): Self) -> Self {
        let Self([a, b, c, d, e, f]) = self;
        Self([
            a * a2 + c * b2,
            b * a2 + d * b2,
            a * c2 + c * d2,
            b * c2 + d * d2,
            a * e2 + c * f2 + e,
            b * e2 + d * f2 + f,
        ])
    }

    /// Between two matrices by way of their parts; where one has none, a jump half-way.
    fn blend(self, to: Self, share: f64) -> Self {
        match (Parts::of(self), Parts::of(to)) {
            (Some(a), Some(b)) => a.blend(&b, share).matrix(),
            _ if share < 0.5 => self,
            _ => to,
        }
    }
}

/// A matrix as translation, rotation, skew and scale, applied in reverse order.
struct Parts {
    translation: (f64, f64),
    /// Sine and cosine of half the angle, which is the quaternion about the z axis.
    rotation: (f64, f64),
    skew: f64,
    scale: (f64, f64),
}

impl Parts {
    /// `None` for a singular matrix.
    fn of(Matrix([mut a, mut b, mut c, mut d, e, f]): Matrix) -> Option<Self> {
        let determinant = a * d - b * c;
        if determinant == 0.0 || !determinant.is_finite() {
            return None;
        }
        let mut scale = (1.0, 1.0);
        if determinant < 0.0 {
            if a < d {
                scale.0 = -1.0;
            } else {
                scale.1 = -1.0;
            }
        }
        scale.0 *= a.hypot(b);
        a /= scale.0;
        b /= scale.0;
        let shear = a * c + b * d;
        c -= a * shear;
        d -= b * shear;
        scale.1 *= c.hypot(d);
        let angle = b.atan2(a);
        Some(Self {
            translation: (e, f),
            rotation: (angle / 2.0).sin_cos(),
            skew: shear / scale.1,
            scale,
        })
    }

    fn blend(&self, to: &Self, share: f64) -> Self {
        let mix = |from: f64, to: f64| from + (to - from) * share;
        Self {
            translation: (
                mix(self.translation.0, to.translation.0),
                mix(self.translation.1, to.translation.1),
            ),
            rotation: slerp(self.rotation, to.rotation, share),
            skew: mix(self.skew, to.skew),
            scale: (mix(self.scale.0, to.scale.0), mix(self.scale.1, to.scale.1)),
        }
    }

    fn matrix(&self) -> Matrix {
        let (z, w) = self.rotation;
        let (sin, cos) = (2.0 * z * w, 1.0 - 2.0 * z * z);
        let (x, y) = self.translation;
        Matrix([cos, sin, -sin, cos, x, y])
            .times(Matrix([1.0, 0.0, self.skew, 1.0, 0.0, 0.0]))
            .times(Matrix([self.scale.0, 0.0, 0.0, self.scale.1, 0.0, 0.0]))
    }
}

/// The shorter way round between two rotations.
fn slerp(from: (f64, f64), to: (f64, f64), share: f64) -> (f64, f64) {
    let cos = from.0 * to.0 + from.1 * to.1;
    let (flip, cos) = if cos < 0.0 { (-1.0, -cos) } else { (1.0, cos) };
    let cos = cos.min(1.0);
    let sin = (1.0 - cos * cos).sqrt();
    if sin < 1e-5 {
        return from;
    }
    let angle = cos.acos();
    let before = flip * ((1.0 - share) * angle).sin() / sin;
    let after = (share * angle).sin() / sin;
    (
        before * from.0 + after * to.0,
        before * from.1 + after * to.1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: Matrix, b: Matrix) -> bool {
        a.0.iter().zip(b.0).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    #[test]
    fn a_matrix_is_the_product_of_its_parts() {
        for m in [
            [1.0, 0.0, 0.0, 1.0, 3.0, 4.0],
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            [-1.0, 0.5, 0.25, -2.0, 0.0, 1.0],
            [0.0, 3.0, -2.0, 0.0, 0.0, 0.0],
            [2.0, 0.0, 0.0, -3.0, 0.0, 0.0],
        ] {
            let parts = Parts::of(Matrix(m)).expect("not singular");
            assert!(near(parts.matrix(), Matrix(m)), "{m:?}");
        }
        assert!(Parts::of(Matrix([1.0, 2.0, 2.0, 4.0, 0.0, 0.0])).is_none());
    }

    #[test]
    fn a_singular_matrix_is_jumped_to_half_way() {
        let (from, to) = (Matrix::IDENTITY, Matrix([0.0; 6]));
        assert!(near(from.blend(to, 0.49), from) && near(from.blend(to, 0.5), to));
    }
}
