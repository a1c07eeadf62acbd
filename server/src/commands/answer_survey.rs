//! Hands a filled-in survey in.
//!
//! A response is closed when it is handed in: it does not change afterwards.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{AnswerSurvey, Survey, SurveyResponse};
use roundsman_sync::trade::check;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::survey::{self, Decision};

use super::{Context, Decide, Target, field};
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
        let (_, survey) = field::known::<Survey>(context, workspace, &self.survey_id, |_| Ok(true))?;
        let decision = survey::decide_answer(current.as_ref(), &survey, place.outlet_id, rep, self, &capture)?;
        let Decision { response, verdict } = decision;
        if current.is_none() {
            field::hang(context, workspace, &place, id)?;
            workspace.put(id, &response, &place.closed(context))?;
        }
        place.outcome(context, workspace, verdict)
    }
}
