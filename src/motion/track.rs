//! One property in time: its own value, and the keyframes of each animation that names it.

use super::easing::Easing;
use super::expression::{Expression, Space};
use super::timing::Place;
use super::transform::{Declared, List};

/// The most animations of one sprite.
pub(super) const ANIMATIONS_MAX: usize = 8;

/// Where each animation is at one moment; `None` where it has no effect.
pub(super) type Progress = [Option<Place>; ANIMATIONS_MAX];

/// A property: what the rule says, and what the animations make of it; of those in effect, the
/// last one's value counts (CSS Animations 1, 3).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Property<T> {
    pub(super) base: T,
    /// By rising `animation`.
    pub(super) layers: Vec<Layer<T>>,
}

/// The keyframes that one animation has for the property.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layer<T> {
    pub(super) animation: usize,
    /// By rising offset, the first at 0 and the last at 1.
    pub(super) keyframes: Vec<Keyframe<T>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Keyframe<T> {
    /// In `0.0..=1.0`.
    pub(super) offset: f64,
    /// `None`: what the property would be without this animation.
    pub(super) value: Option<T>,
    /// From this keyframe to the next; an index.
    pub(super) easing: usize,
}

/// At one moment, around one sprite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    pub(super) progress: &'a Progress,
    pub(super) easings: &'a [Easing],
    /// Where a percentage is of a width.
    pub(super) across: Space<'a>,
    /// Where it is of a height.
    pub(super) down: Space<'a>,
}

/// What a property's value computes to, and what is between two of them.
pub(super) trait Value {
    type Computed;
    fn at(&self, moment: &Moment<'_>) -> Self::Computed;
    fn mix(from: Self::Computed, to: Self::Computed, share: f64) -> Self::Computed;
    /// Whether it depends on a variable.
    fn varies(&self) -> bool;
}

impl<T: Value> Property<T> {
    pub(super) fn at(&self, moment: &Moment<'_>) -> T::Computed {
        self.below(self.layers.len(), moment)
    }

    /// Without the layers from `above` on.
    fn below(&self, above: usize, moment: &Moment<'_>) -> T::Computed {
        let in_effect = self.layers[..above]
            .iter()
            .enumerate()
            .rev()
            .find_map(|(i, layer)| Some((i, layer, (*moment.progress.get(layer.animation)?)?)));
        let Some((i, layer, Place { progress, before })) = in_effect else {
            return self.base.at(moment);
        };
        let keyframes = &layer.keyframes;
        let last = keyframes.len().saturating_sub(1).max(1);
        let next = keyframes
            .partition_point(|k| k.offset <= progress)
            .clamp(1, last);
        let (Some(from), Some(to)) = (keyframes.get(next - 1), keyframes.get(next)) else {
            return self.base.at(moment);
        };
        let span = to.offset - from.offset;
        // Of several at one offset the last one holds there, whatever their easing.
        let share = if span > 0.0 {
            let share = (progress - from.offset) / span;
            let easing = moment.easings.get(from.easing);
            easing.map_or(share, |easing| easing.at(share, before))
        } else {
            1.0
        };
        let value = |keyframe: &Keyframe<T>| match &keyframe.value {
            Some(value) => value.at(moment),
            None => self.below(i, moment),
        };
        T::mix(value(from), value(to), share)
    }

    pub(super) fn varies(&self) -> bool {
        let mut keyframes = self.layers.iter().flat_map(|layer| &layer.keyframes);
        self.base.varies() || keyframes.any(|k| k.value.as_ref().is_some_and(T::varies))
    }
}

/// A number, or a length of which 100% is a width.
impl Value for Expression {
    type Computed = f64;

    fn at(&self, moment: &Moment<'_>) -> f64 {
        Self::at(self, &moment.across)
    }

    fn mix(from: f64, to: f64, share: f64) -> f64 {
        from + (to - from) * share
    }

    fn varies(&self) -> bool {
        Self::varies(self)
    }
}

/// A place in the box.
impl Value for [Expression; 2] {
    type Computed = (f64, f64);

    fn at(&self, moment: &Moment<'_>) -> (f64, f64) {
        (self[0].at(&moment.across), self[1].at(&moment.down))
    }

    fn mix(from: (f64, f64), to: (f64, f64), share: f64) -> (f64, f64) {
        let mix = |from, to| Expression::mix(from, to, share);
        (mix(from.0, to.0), mix(from.1, to.1))
    }

    fn varies(&self) -> bool {
        self.iter().any(Expression::varies)
    }
}

/// A transform.
impl Value for Vec<Declared> {
    type Computed = List;

    fn at(&self, moment: &Moment<'_>) -> List {
        List::new(self, &moment.across, &moment.down)
    }

    fn mix(from: List, to: List, share: f64) -> List {
        from.blend(&to, share)
    }

    fn varies(&self) -> bool {
        let mut arguments = self.iter().flat_map(|function| &function.arguments);
        arguments.any(Expression::varies)
    }
}
