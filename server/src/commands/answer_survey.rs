//! Hands a filled-in survey in.
//!
//! A response is closed when it is handed in: it does not change afterwards.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{AnswerSurvey, Survey, SurveyResponse};
use roundsman_sync::trade::check;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::survey::{self, Asked, Decision, Former};
use uuid::Uuid;

use super::{Context, Decide, Target, field};
use crate::internal::FormerSurveys;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for AnswerSurvey {
    fn name(&self) -> &'static str {
        "AnswerSurvey"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.response_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.answers.len(), check::ANSWERS, "answers")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.response_id);
        keys.record(&self.survey_id);
        if let Ok(survey) = Uuid::from_slice(&self.survey_id)
            && is_former(workspace, survey, self.survey_version).unwrap_or_default()
        {
            keys.internal::<FormerSurveys>(&survey);
        }
        // Not read: but the answers wait with a visit that is in quarantine.
        keys.record(&self.visit_id);
        field::keys(context, &self.outlet_id, workspace, keys);
        field::hang_keys(context, &self.outlet_id, workspace, keys);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        survey::answer_form(self)?;
        let rep = field::rep(context)?;
        let place = field::known_place(context, workspace, &self.outlet_id)?;
        let capture = field::fact(context, workspace, &place)?;
        let (id, current) = field::existing::<SurveyResponse>(workspace, &self.response_id)?;
        let (survey, now) = field::known::<Survey>(context, workspace, &self.survey_id, |_| Ok(true))?;
        let state: FormerSurveys = match is_former(workspace, survey, self.survey_version)? {
            true => workspace.internal(&survey)?,
            false => FormerSurveys::default(),
        };
        let former = state.held(self.survey_version);
        let held = former.map(|former| Former { survey: &former.survey, until_us: former.until_us });
        let asked = Asked { now: &now, held };
        let decision = survey::decide_answer(current.as_ref(), &asked, place.outlet_id, rep, self, &capture)?;
        let Decision { response, verdict } = decision;
        if current.is_none() {
            field::hang(context, workspace, &place, id)?;
            workspace.put(id, &response, &place.closed(context))?;
        }
        place.outcome(context, workspace, verdict)
    }
}

/// Whether a device that held this version held another than the one that is there: what this batch has written, none holds.
fn is_former(workspace: &Workspace, survey: Uuid, held_version: i64) -> Result<bool, Stop> {
    let version = workspace.version(survey)?;
    Ok(version.is_some_and(|version| version == 0 || held_version < version))
}
