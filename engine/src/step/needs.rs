//! Which outputs a step reads, as types.

use super::{Declared, StepError};
use crate::journal::Json;
use crate::plan::Plan;

/// Step types that stand for their outputs.
///
/// One blanket impl for a step and one macro for tuples do not overlap, because nobody can implement [`Declared`] for a tuple.
pub trait Needs: 'static {
    /// What the step gets.
    type Outputs: Send;
    /// The names of the steps.
    fn names() -> Vec<&'static str>;
    /// The names of those whose output must be there.
    #[must_use]
    fn required() -> Vec<&'static str> {
        Self::names()
    }
    /// Their recorded outputs, decoded.
    fn outputs(plan: &Plan) -> Result<Self::Outputs, StepError>;
}

impl<S: Declared> Needs for S {
    type Outputs = S::Output;

    fn names() -> Vec<&'static str> {
        vec![S::NAME]
    }

    fn outputs(plan: &Plan) -> Result<S::Output, StepError> {
        let output = plan
            .output_of(S::NAME)
            .ok_or_else(|| StepError::permanent(format!("step {} left no output", S::NAME)))?;
        current::<S>(plan, output.clone())?
            .decode()
            .map_err(|error| {
                StepError::permanent(format!(
                    "the output of step {} cannot be read: {error}",
                    S::NAME
                ))
            })
    }
}

/// What step `S` of this plan has recorded, in the form that its code knows.
pub(super) fn current<S: Declared>(plan: &Plan, recorded: Json) -> Result<Json, StepError> {
    let form = plan.step(S::NAME).map_or(S::FORM, |status| status.form);
    if form < S::FORM {
        S::upcast(form, recorded)
    } else {
        Ok(recorded)
    }
}

/// The output of a step that may have been skipped.
impl<S: Declared> Needs for Option<S> {
    type Outputs = Option<S::Output>;

    fn names() -> Vec<&'static str> {
        vec![S::NAME]
    }

    fn required() -> Vec<&'static str> {
        Vec::new()
    }

    fn outputs(plan: &Plan) -> Result<Self::Outputs, StepError> {
        let left = plan.output_of(S::NAME);
        left.map(|_| S::outputs(plan)).transpose()
    }
}

macro_rules! tuples { ($(($($S:ident)*))*) => { $(
    impl<$($S: Needs),*> Needs for ($($S,)*) {
        type Outputs = ($($S::Outputs,)*);
        fn names() -> Vec<&'static str> { let each: [Vec<&'static str>; _] = [$($S::names()),*]; each.concat() }
        fn required() -> Vec<&'static str> { let each: [Vec<&'static str>; _] = [$($S::required()),*]; each.concat() }
        fn outputs(_plan: &Plan) -> Result<Self::Outputs, StepError> { Ok(($($S::outputs(_plan)?,)*)) }
    } )* } }
tuples! { () (A) (A B) (A B C) (A B C D) (A B C D E) }
