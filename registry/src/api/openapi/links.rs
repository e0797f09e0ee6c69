//! Links from an answer to what can be asked about the thing that it shows.

use serde_json::{Map, Value, json};

use super::operation::{Found, Lead, parts};
use crate::api::rights::Route;

/// The links of one answer, by the name of the operation that each leads to.
pub(super) fn of(lead: &Lead, routes: &[Route]) -> Map<String, Value> {
    let below = routes
        .iter()
        .filter_map(|route| Some((route, filled(lead, route)?)));
    below
        .map(|(route, parameters)| {
            let link = json!({ "operationId": route.name, "parameters": parameters });
            (route.name.clone(), link)
        })
        .collect()
}

/// The parts of the route's path that the thing names; none unless the path is the thing's own or one below.
fn filled(lead: &Lead, route: &Route) -> Option<Map<String, Value>> {
    let mut rest = route.path.split('/');
    let mut filled = Map::new();
    for part in lead.path.split('/') {
        let theirs = rest.next()?;
        match (parts(part).next(), parts(theirs).next()) {
            (Some(field), Some(parameter)) => {
                let within = match lead.found {
                    Found::Whole => "",
                    Found::FirstOfPage => "/results/0",
                };
                let expression = format!("$response.body#{within}/{field}");
                filled.insert(parameter.to_owned(), expression.into());
            }
            (None, None) if part == theirs => {}
            (None | Some(_), None | Some(_)) => return None,
        }
    }
    Some(filled)
}
