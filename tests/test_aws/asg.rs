//! Auto Scaling: `DescribeAutoScalingGroups`, which is all that is called.

use super::call::{Answer, Refusal};
use super::fleet::{ACCOUNT, Member, REGION};
use super::page::page;
use super::query::Form;
use super::state::State;
use super::xml::Xml;

const NAMESPACE: &str = "http://autoscaling.amazonaws.com/doc/2011-01-01/";
/// Groups in one answer: what it gives unasked, and the most (API reference).
const PAGE: usize = 50;
const PAGE_MAX: usize = 100;

pub(crate) fn answer(state: &State, action: &str, form: Form) -> Result<Answer, Refusal> {
    match action {
        "DescribeAutoScalingGroups" => groups(state, form),
        _ => Err(Refusal::new(
            "InvalidAction",
            format!("The test AWS has no Auto Scaling action {action}"),
        )),
    }
}

fn groups(state: &State, mut form: Form) -> Result<Answer, Refusal> {
    let names = form.list("AutoScalingGroupNames.member");
    let size = form.number("MaxRecords")?.unwrap_or(PAGE);
    let token = form.take("NextToken");
    form.end()?;
    if names.len() > PAGE_MAX || size > PAGE_MAX || size == 0 {
        return Err(Refusal::new(
            "ValidationError",
            "The number of Auto Scaling groups or records is not between 1 and 100",
        ));
    }
    let size = state.page_size("DescribeAutoScalingGroups", size);
    let wanted = |name: &String| names.is_empty() || names.contains(name);
    let found: Vec<_> = state
        .fleet
        .groups
        .iter()
        .filter(|(name, _)| wanted(name))
        .collect();
    let (found, next) = page("groups", found, token.as_deref(), Some(size))
        .ok_or_else(|| Refusal::new("InvalidNextToken", "The NextToken value is not valid."))?;
    let body = Xml::answer("DescribeAutoScalingGroups", NAMESPACE, |xml| {
        xml.within("DescribeAutoScalingGroupsResult", |xml| {
            xml.list(
                "AutoScalingGroups",
                "member",
                found,
                |xml, (name, members)| {
                    group(state, xml, name, members);
                },
            )
            .maybe("NextToken", next);
        })
        .within("ResponseMetadata", |xml| {
            xml.text("RequestId", "0f0f0f0f-1111-4222-8333-444444444444");
        });
    });
    Ok(Answer::good(body))
}

fn group(state: &State, xml: &mut Xml, name: &str, members: &[Member]) {
    let arn = format!(
        "arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:0f0f0f0f-1111-4222-8333-444444444444:autoScalingGroupName/{name}"
    );
    xml.text("AutoScalingGroupName", name)
        .text("AutoScalingGroupARN", arn)
        .text("MinSize", 0)
        .text("MaxSize", 10_000)
        .text("DesiredCapacity", members.len())
        .text("DefaultCooldown", 300)
        .list(
            "AvailabilityZones",
            "member",
            ["a", "b", "c"],
            |xml, zone| {
                xml.bare(&format!("{REGION}{zone}"));
            },
        )
        .text("HealthCheckType", "EC2")
        .text("HealthCheckGracePeriod", 0)
        .text("CreatedTime", "2026-01-01T00:00:00.000Z")
        .text("NewInstancesProtectedFromScaleIn", false)
        .list("Instances", "member", members, |xml, member| {
            let instance = state.fleet.get(&member.instance);
            xml.text("InstanceId", &member.instance)
                .text("InstanceType", "t3.micro")
                .maybe("AvailabilityZone", instance.map(|it| &it.zone))
                .text("LifecycleState", &member.lifecycle)
                .text("HealthStatus", &member.health)
                .text("ProtectedFromScaleIn", false);
        });
}
