//! Filled-in surveys (C21). Answers belong to the version of the survey that the device held: its questions are the ones that
//! were asked, and its days the ones on which they were. Later versions can only have closed it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use roundsman_proto::trade::survey_answer::Value;
use roundsman_proto::trade::{
    AnswerSurvey, QuestionType, Reason, Survey, SurveyAnswer, SurveyQuestion, SurveyResponse, SurveyState,
};
use uuid::Uuid;

use super::capture::Capture;
use super::check;
use super::rejection::Rejection;
use super::verdict::Verdict;

/// The survey that was asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// As it is now.
    pub now: &'a Survey,
    /// As the device held it, if the office has changed it since.
    pub held: Option<Former<'a>>,
}

/// A survey as it was.
#[derive(Clone, Copy, Debug)]
pub struct Former<'a> {
    /// What it said.
    pub survey: &'a Survey,
    /// When the office changed it, in microseconds since the Unix epoch.
    pub until_us: i64,
}

impl<'a> Asked<'a> {
    /// The survey to which the answers belong.
    fn survey(&self) -> &'a Survey {
        self.held.map_or(self.now, |former| former.survey)
    }

    /// Whether it was asked when it was answered: by the version to which the answers belong, and closed by no later one
    /// before that moment. Where a later one does not say when, it was closed when the office changed it.
    fn was_open(&self, capture: &Capture) -> bool {
        let closed_since = self.held.is_some_and(|former| {
            let end_us = match self.now.state() {
                SurveyState::Published => return false,
                SurveyState::Closed if self.now.closed_at_us != 0 => self.now.closed_at_us,
                SurveyState::Closed | SurveyState::Draft | SurveyState::Unspecified => former.until_us,
            };
            capture.captured_at_us >= end_us
        });
        is_open(self.survey(), capture) && !closed_since
    }
}

/// What is to be stored of a filled-in survey.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The response.
    pub response: SurveyResponse,
    /// The outcome.
    pub verdict: Verdict,
}

/// The form of a filled-in survey.
///
/// # Errors
/// For its form.
pub fn answer_form(command: &AnswerSurvey) -> Result<(), Rejection> {
    check::id(&command.response_id, "response_id")?;
    check::id(&command.survey_id, "survey_id")?;
    check::id(&command.outlet_id, "outlet_id")?;
    check::optional_id(&command.visit_id, "visit_id")?;
    if command.survey_version <= 0 {
        return Err(check::missing("survey_version"));
    }
    check::count(command.answers.len(), check::ANSWERS, "answers")?;
    let mut ids = Vec::with_capacity(command.answers.len());
    for (index, answer) in command.answers.iter().enumerate() {
        ids.push(check::id(&answer.question_id, "question_id").map_err(check::at("answers", index))?);
    }
    check::unique(ids, "question_id")
}

/// A rep hands a filled-in survey in (C21). `current` is the response of this id, if there is one. An answer to a
/// question that would not have been asked is taken: it may have been given before the one that excludes it.
///
/// # Errors
/// For its form; `REASON_SURVEY_CLOSED`, `REASON_MISSING_FIELD`, `REASON_MISMATCH`, `REASON_ID_TAKEN`.
pub fn decide_answer(
    current: Option<&SurveyResponse>,
    asked: &Asked<'_>,
    outlet_id: Uuid,
    rep_id: Uuid,
    command: &AnswerSurvey,
    capture: &Capture,
) -> Result<Decision, Rejection> {
    answer_form(command)?;
    let response = SurveyResponse {
        survey_id: command.survey_id.clone(),
        survey_version: command.survey_version,
        outlet_id: outlet_id.as_bytes().to_vec(),
        visit_id: command.visit_id.clone(),
        rep_id: rep_id.as_bytes().to_vec(),
        answered_at_us: capture.captured_at_us,
        answers: command.answers.clone(),
        flags: capture.fact_flags(),
    };
    if let Some(current) = current {
        let own = |response: &SurveyResponse| SurveyResponse { answered_at_us: 0, flags: vec![], ..response.clone() };
        return if own(current) == own(&response) {
            Ok(Decision { response: current.clone(), verdict: Verdict::nothing_to_do() })
        } else {
            Err(Rejection::new(Reason::IdTaken).field("response_id"))
        };
    }
    if !asked.was_open(capture) {
        return Err(Rejection::new(Reason::SurveyClosed).fact(None, "state", asked.now.state().as_str_name()));
    }
    let survey = asked.survey();
    for (index, answer) in command.answers.iter().enumerate() {
        check_answer(survey, answer).map_err(check::at("answers", index))?;
    }
    for question in survey.questions.iter().filter(|question| question.required) {
        if is_asked(question, &command.answers) && !answered(question, &command.answers) {
            let id = Uuid::from_slice(&question.question_id).unwrap_or_default();
            return Err(check::missing("answers").fact(None, "question_id", id));
        }
    }
    let verdict = Verdict::fact_taken(!response.flags.is_empty());
    Ok(Decision { response, verdict })
}

/// Whether a survey says that it was asked at that moment: published, in its days, and not yet closed.
fn is_open(survey: &Survey, capture: &Capture) -> bool {
    let day = capture.business_day;
    let in_days = (survey.from_day == 0 || survey.from_day <= day) && (survey.to_day == 0 || day <= survey.to_day);
    in_days
        && match survey.state() {
            SurveyState::Published => true,
            SurveyState::Closed => capture.captured_at_us < survey.closed_at_us,
            SurveyState::Unspecified | SurveyState::Draft => false,
        }
}

/// Whether a question's condition holds.
fn is_asked(question: &SurveyQuestion, answers: &[SurveyAnswer]) -> bool {
    if question.condition_question_id.is_empty() {
        return true;
    }
    let earlier = answers.iter().find(|answer| answer.question_id == question.condition_question_id);
    match earlier.and_then(|answer| answer.value.as_ref()) {
        Some(Value::Choice(choice)) => choice.option_ids.iter().any(|id| question.condition_option_ids.contains(id)),
        Some(Value::Yes(_) | Value::NumberMilli(_) | Value::Text(_) | Value::DateDay(_)) | None => false,
    }
}

fn answered(question: &SurveyQuestion, answers: &[SurveyAnswer]) -> bool {
    let answer = answers.iter().find(|answer| answer.question_id == question.question_id);
    match answer.and_then(|answer| answer.value.as_ref()) {
        Some(Value::Text(text)) => !text.trim().is_empty(),
        Some(Value::Yes(_) | Value::NumberMilli(_) | Value::Choice(_) | Value::DateDay(_)) => true,
        None => false,
    }
}

fn check_answer(survey: &Survey, answer: &SurveyAnswer) -> Result<(), Rejection> {
    let value = answer.value.as_ref().ok_or_else(|| check::missing("value"))?;
    let question = survey.questions.iter().find(|question| question.question_id == answer.question_id);
    let question = question.ok_or_else(|| check::mismatch("question_id"))?;
    let kind = QuestionType::try_from(question.r#type).unwrap_or_default();
    match (kind, value) {
        (QuestionType::YesNo, Value::Yes(_)) => Ok(()),
        (QuestionType::Number, Value::NumberMilli(number)) => check::range(*number, allowed(question), "number_milli"),
        (QuestionType::Scale, Value::NumberMilli(number)) if number % 1_000 == 0 => {
            check::range(*number, allowed(question), "number_milli")
        }
        (QuestionType::Scale, Value::NumberMilli(_)) => Err(check::out_of_range("number_milli")),
        (QuestionType::Text, Value::Text(text)) => check::text(text, check::TEXT_CHARS, "text"),
        (QuestionType::SingleChoice, Value::Choice(choice)) if choice.option_ids.len() == 1 => {
            check_options(question, &choice.option_ids)
        }
        (QuestionType::MultipleChoice, Value::Choice(choice)) => check_options(question, &choice.option_ids),
        (QuestionType::Date, Value::DateDay(day)) => check::day(*day, "date_day"),
        (QuestionType::YesNo | QuestionType::Number | QuestionType::Scale | QuestionType::Text, _) => {
            Err(check::mismatch("value"))
        }
        (QuestionType::SingleChoice | QuestionType::MultipleChoice | QuestionType::Date, _) => {
            Err(check::mismatch("value"))
        }
        (QuestionType::Unspecified, _) => Err(Rejection::new(Reason::UnknownValue).field("question_id")),
    }
}

fn allowed(question: &SurveyQuestion) -> RangeInclusive<i64> {
    question.min_milli.unwrap_or(i64::MIN)..=question.max_milli.unwrap_or(i64::MAX)
}

fn check_options(question: &SurveyQuestion, chosen: &[Vec<u8>]) -> Result<(), Rejection> {
    let known = |id: &Vec<u8>| question.options.iter().any(|option| option.option_id == *id);
    if !chosen.iter().all(known) {
        return Err(check::mismatch("option_ids"));
    }
    let distinct: BTreeSet<&Vec<u8>> = chosen.iter().collect();
    if distinct.len() == chosen.len() { Ok(()) } else { Err(Rejection::new(Reason::RepeatedId).field("option_ids")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trade::delivery::LocalTime;
    use proptest::prelude::*;
    use roundsman_proto::trade::{FactFlag, SurveyChoice, SurveyOption};

    fn id(number: u8) -> Vec<u8> {
        vec![number; 16]
    }

    fn question(number: u8, kind: QuestionType) -> SurveyQuestion {
        let options = [101, 102].map(|option| SurveyOption { option_id: id(option), ..SurveyOption::default() });
        SurveyQuestion {
            question_id: id(number),
            r#type: kind.into(),
            options: options.to_vec(),
            ..SurveyQuestion::default()
        }
    }

    /// A choice, and a scale from 1 to 5 that is asked, and required, only after the first option.
    fn survey() -> Survey {
        let scale = SurveyQuestion {
            required: true,
            min_milli: Some(1_000),
            max_milli: Some(5_000),
            condition_question_id: id(1),
            condition_option_ids: vec![id(101)],
            ..question(2, QuestionType::Scale)
        };
        Survey {
            state: SurveyState::Published.into(),
            questions: vec![question(1, QuestionType::SingleChoice), scale],
            ..Survey::default()
        }
    }

    fn answer(number: u8, value: Value) -> SurveyAnswer {
        SurveyAnswer { question_id: id(number), value: Some(value) }
    }

    fn chose(options: &[u8]) -> Value {
        Value::Choice(SurveyChoice { option_ids: options.iter().map(|option| id(*option)).collect() })
    }

    fn command(answers: &[SurveyAnswer]) -> AnswerSurvey {
        AnswerSurvey {
            response_id: id(7),
            survey_id: id(8),
            survey_version: 3,
            outlet_id: id(9),
            answers: answers.to_vec(),
            ..AnswerSurvey::default()
        }
    }

    fn hand_in(survey: &Survey, answers: &[SurveyAnswer], capture: &Capture) -> Result<Decision, Rejection> {
        hand_in_for(&Asked { now: survey, held: None }, answers, capture)
    }

    fn hand_in_for(asked: &Asked<'_>, answers: &[SurveyAnswer], capture: &Capture) -> Result<Decision, Rejection> {
        decide_answer(None, asked, Uuid::from_bytes([9; 16]), Uuid::nil(), &command(answers), capture)
    }

    fn at(captured_at_us: i64) -> Capture {
        Capture { captured_at_us, ..Capture::default() }
    }

    fn rejected(answers: &[SurveyAnswer]) -> (Reason, String) {
        let rejection = hand_in(&survey(), answers, &Capture::default()).expect_err("rejected");
        (rejection.reason, rejection.field)
    }

    #[test]
    fn required_questions_are_answered_if_they_were_asked() {
        let first = answer(1, chose(&[101]));
        assert_eq!(rejected(std::slice::from_ref(&first)), (Reason::MissingField, "answers".to_owned()));
        let both = [first, answer(2, Value::NumberMilli(5_000))];
        assert_eq!(hand_in(&survey(), &both, &Capture::default()).expect("taken").verdict, Verdict::done());
        assert!(hand_in(&survey(), &[answer(1, chose(&[102]))], &Capture::default()).is_ok());
    }

    #[test]
    fn answers_fit_their_questions() {
        let number = |number| answer(2, Value::NumberMilli(number));
        assert_eq!(rejected(&[number(6_000)]), (Reason::OutOfRange, "number_milli".to_owned()));
        assert_eq!(rejected(&[number(1_500)]), (Reason::OutOfRange, "number_milli".to_owned()));
        assert_eq!(rejected(&[answer(1, Value::Yes(true))]), (Reason::Mismatch, "value".to_owned()));
        assert_eq!(rejected(&[answer(1, chose(&[101, 102]))]), (Reason::Mismatch, "value".to_owned()));
        assert_eq!(rejected(&[answer(1, chose(&[103]))]), (Reason::Mismatch, "option_ids".to_owned()));
        assert_eq!(rejected(&[answer(5, chose(&[101]))]), (Reason::Mismatch, "question_id".to_owned()));
        let none = SurveyAnswer { question_id: id(1), value: None };
        assert_eq!(rejected(std::slice::from_ref(&none)), (Reason::MissingField, "value".to_owned()));
        assert_eq!(rejected(&[none.clone(), none]), (Reason::RepeatedId, "question_id".to_owned()));
    }

    #[test]
    fn c21_answers_captured_before_the_end_are_taken() {
        let closed = Survey { state: SurveyState::Closed.into(), closed_at_us: 100, ..survey() };
        assert!(hand_in(&closed, &[], &at(99)).is_ok());
        assert_eq!(hand_in(&closed, &[], &at(100)).expect_err("closed").reason, Reason::SurveyClosed);
        let bounded = Survey { to_day: 10, ..survey() };
        let late = Capture { business_day: 10, now: LocalTime { day: 12, second: 0 }, ..Capture::default() };
        let taken = hand_in(&bounded, &[], &late).expect("answered in time");
        assert_eq!(
            (taken.response.flags, taken.verdict.reason),
            (vec![FactFlag::ReportedLate.into()], Reason::Flagged)
        );
        let after = Capture { business_day: 11, ..late };
        assert_eq!(hand_in(&bounded, &[], &after).expect_err("too late").reason, Reason::SurveyClosed);
    }

    #[test]
    fn c21_answers_are_judged_by_the_questions_that_were_asked() {
        let now = Survey { questions: vec![question(3, QuestionType::Date)], ..survey() };
        let held = survey();
        let asked = Asked { now: &now, held: Some(Former { survey: &held, until_us: 100 }) };
        assert!(hand_in_for(&asked, &[answer(1, chose(&[102]))], &at(99)).is_ok());
        assert!(hand_in_for(&asked, &[answer(1, chose(&[102]))], &at(200)).is_ok(), "the phone did not know");
        let other = hand_in_for(&asked, &[answer(3, Value::DateDay(20_000))], &at(99)).expect_err("not asked");
        assert_eq!((other.reason, other.field.as_str()), (Reason::Mismatch, "question_id"));
    }

    #[test]
    fn c21_a_version_that_was_closed_since_is_answered_until_then() {
        let (held, days) = (survey(), Survey { to_day: 10, ..survey() });
        let closing = |state: SurveyState, closed_at_us| Survey { state: state.into(), closed_at_us, ..survey() };
        let judged = |now: &Survey, survey: &Survey, capture: &Capture| {
            let asked = Asked { now, held: Some(Former { survey, until_us: 100 }) };
            hand_in_for(&asked, &[], capture).map(|_| ()).map_err(|rejection| rejection.reason)
        };
        let closed = Err(Reason::SurveyClosed);
        let dated = closing(SurveyState::Closed, 50);
        assert_eq!([49, 50, 150].map(|us| judged(&dated, &held, &at(us))), [Ok(()), closed, closed]);
        for state in [SurveyState::Closed, SurveyState::Draft] {
            let undated = closing(state, 0);
            assert_eq!([99, 100].map(|us| judged(&undated, &held, &at(us))), [Ok(()), closed], "{state:?}");
        }
        assert_eq!(judged(&survey(), &dated, &at(150)), closed, "opened again, and the phone held it closed");
        let on = |business_day| Capture { business_day, now: LocalTime { day: business_day, second: 0 }, ..at(150) };
        assert_eq!([10, 11].map(|day| judged(&survey(), &days, &on(day))), [Ok(()), closed], "its days count");
        assert_eq!(judged(&days, &survey(), &on(11)), Ok(()), "not those of which the phone did not know");
    }

    #[test]
    fn c01_the_same_response_is_taken_once() {
        let first = hand_in(&survey(), &[], &Capture::default()).expect("taken").response;
        let again = |answers: &[SurveyAnswer]| {
            let outlet = Uuid::from_bytes([9; 16]);
            let asked = Asked { now: &survey(), held: None };
            decide_answer(Some(&first), &asked, outlet, Uuid::nil(), &command(answers), &Capture::default())
        };
        assert_eq!(again(&[]).expect("taken").verdict, Verdict::nothing_to_do());
        assert_eq!(again(&[answer(1, chose(&[102]))]).expect_err("other").reason, Reason::IdTaken);
    }

    proptest! {
        #[test]
        fn no_input_panics(kind in -1..9_i32, number in any::<i64>(), day in any::<i32>(), text in ".{0,9}", options in any::<Vec<u8>>()) {
            let survey = Survey {
                state: SurveyState::Published.into(),
                questions: vec![SurveyQuestion { r#type: kind, ..question(1, QuestionType::Text) }],
                ..Survey::default()
            };
            for value in [Value::NumberMilli(number), Value::DateDay(day), Value::Text(text), chose(&options)] {
                let _ = hand_in(&survey, &[answer(1, value)], &Capture::default());
            }
        }
    }
}
