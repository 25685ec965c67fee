"""The closed lists that requests, cases and law packs are written in.

Codes are what the log, the database and the law packs hold; labels and descriptions are what people read. A code is
never reused for another meaning and never removed: entries of the log keep it for ever.

Offences are ours, not a statute's: a law pack says by code or class which of them its law allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

CODE = re.compile(r"^[a-z0-9][a-z0-9_.:-]{0,79}$")


@dataclass(frozen=True)
class Term:
    """One entry of a closed list: the code that is stored, the label and the one sentence that people read."""

    code: str
    label: str
    description: str

    def __post_init__(self) -> None:
        if not CODE.match(self.code):
            raise ValueError(f"not a code: {self.code!r}")


class OffenceClass(StrEnum):
    """How grave an offence is, as far as law packs need to tell."""

    VIOLENT_FELONY = "violent_felony"
    FELONY = "felony"
    VIOLENT_MISDEMEANOR = "violent_misdemeanor"
    MISDEMEANOR = "misdemeanor"
    INFRACTION = "infraction"
    THREAT = "threat"
    NO_CRIME = "no_crime"


@dataclass(frozen=True)
class Offence(Term):
    offence_class: OffenceClass


@dataclass(frozen=True)
class ProbeKind(Term):
    """What the officer says the photo is. `possible` is false for kinds that no law pack can ever allow here."""

    possible: bool = True


T = TypeVar("T", bound=Term)


def _by_code(terms: Iterable[T]) -> Mapping[str, T]:
    found: dict[str, T] = {}
    for term in terms:
        if term.code in found:
            raise ValueError(f"code listed twice: {term.code}")
        found[term.code] = term
    return MappingProxyType(found)


def choices(terms: Mapping[str, T]) -> list[tuple[str, str]]:
    """(code, label) pairs in the order of the list, as form and model fields want them."""
    return [(term.code, term.label) for term in terms.values()]


PURPOSES: Mapping[str, Term] = _by_code(
    [
        Term("identify_suspect", "Identify a suspect", "Somebody is reasonably suspected of the crime of this case."),
        Term("identify_victim", "Identify a victim", "Somebody in the photo is a victim of the crime of this case."),
        Term("identify_witness", "Identify a witness", "Somebody in the photo may have seen the crime of this case."),
        Term("missing_person", "Find a missing person", "Somebody was reported missing and may be the person shown."),
        Term("trafficking", "Trafficking", "Identify a victim of human trafficking, or a trafficker."),
        Term("online_recruiter", "Online recruiter", "Identify somebody who recruits for crime or trafficking online."),
        Term("impaired_communication", "Person who cannot communicate", "Somebody cannot make themselves understood."),
        Term("deceased_person", "Identify a deceased person", "Somebody has died and nobody knows who it is."),
        Term("incapacitated_person", "Person who cannot say who they are", "Somebody is unconscious or incapacitated."),
        Term("person_at_risk", "Person in danger", "Somebody is believed to be a danger to themselves or in danger."),
        Term("lawful_detention", "Person lawfully detained", "Somebody in custody does not say who they are."),
        Term("imminent_threat", "Imminent threat to life", "A life or the public's safety is threatened now."),
        Term("undercover_vetting", "Vet an undercover officer", "Check whether an officer's cover would be exposed."),
        Term("identity_fraud", "Identity fraud", "Documents may have been obtained by a false identity."),
        Term("concealed_identity", "Person hiding who they are", "Somebody is believed to give a false name."),
    ]
)

PROHIBITED_PURPOSES: Mapping[str, Term] = _by_code(
    [
        Term("immigration_status", "Immigration status", "Finding out or enforcing somebody's immigration status."),
        Term("protected_activity", "Protest and speech", "Finding out who spoke, protested, assembled or petitioned."),
        Term("religion", "Religion", "Finding people because of what they believe or where they worship."),
        Term("politics", "Politics", "Finding people because of their political views or activities."),
        Term("lawful_association", "Lawful groups and events", "Finding who belongs to a group or came to an event."),
        Term("race_or_origin", "Race or origin", "Choosing people by race, ethnicity, citizenship or place of origin."),
        Term("gender_or_orientation", "Gender or orientation", "Choosing people by gender identity or orientation."),
        Term("age_or_disability", "Age or disability", "Choosing people because of their age or a disability."),
        Term("live_surveillance", "Live or continued watching", "Following people by camera, now or over time."),
        Term("prediction", "Prediction", "Guessing who might commit a crime some day."),
        Term("private_interest", "Private interest", "Looking somebody up for a private reason or as a favour."),
    ]
)
"""Nobody can choose one of these: naming one is refused, a text that reads like one is held for counsel."""

_VF, _F = OffenceClass.VIOLENT_FELONY, OffenceClass.FELONY
_VM, _M = OffenceClass.VIOLENT_MISDEMEANOR, OffenceClass.MISDEMEANOR

OFFENCES: Mapping[str, Offence] = _by_code(
    [
        Offence("murder", "Murder", "Unlawful killing with intent, or attempted.", _VF),
        Offence("manslaughter", "Manslaughter", "Unlawful killing without the intent that makes it murder.", _VF),
        Offence("negligent_homicide", "Negligent homicide", "A death caused by criminal negligence.", _VF),
        Offence("vehicular_homicide", "Vehicular homicide", "A death caused by driving under the influence.", _VF),
        Offence("aggravated_assault", "Aggravated assault", "An attack causing or meant to cause grave injury.", _VF),
        Offence("assault_with_weapon", "Assault with a weapon", "An attack or threat with a weapon.", _VF),
        Offence("assault_on_officer", "Assault on an officer", "An attack on a peace officer on duty.", _VF),
        Offence("assault_on_minor", "Assault on a minor", "An attack on a child.", _VF),
        Offence("rape", "Rape", "Sexual intercourse without consent.", _VF),
        Offence("sexual_offence_child", "Sexual offence against a child", "A sexual act with or before a child.", _VF),
        Offence("robbery", "Robbery", "Taking property by force or threat.", _VF),
        Offence("carjacking", "Carjacking", "Taking a vehicle by force or threat.", _VF),
        Offence("home_invasion", "Home invasion", "Breaking into a home armed, or while somebody is in it.", _VF),
        Offence("kidnapping", "Kidnapping", "Taking or holding somebody against their will.", _VF),
        Offence("aggravated_kidnapping", "Aggravated kidnapping", "Kidnapping for ransom, or with injury.", _VF),
        Offence("arson_occupied", "Arson of an occupied building", "Fire set where people were in danger.", _VF),
        Offence("terrorism", "Terrorism", "Violence meant to terrorise the public or coerce a government.", _VF),
        Offence("human_trafficking", "Human trafficking", "Trade in people for labour or sex.", _VF),
        Offence("child_abuse", "Child abuse", "Grave physical abuse of a child.", _VF),
        Offence("hate_crime", "Hate crime", "A crime against a person or group because of who they are.", _F),
        Offence("stalking", "Stalking", "Repeated pursuit that puts somebody in fear.", _F),
        Offence("criminal_endangerment", "Criminal endangerment", "Knowingly risking death or grave injury.", _F),
        Offence("child_endangerment", "Child endangerment", "Knowingly risking a child's life or welfare.", _F),
        Offence("child_abuse_images", "Child sexual abuse material", "Making, having or sharing such images.", _F),
        Offence("firearm_crime", "Felony with a firearm", "Using or carrying a firearm unlawfully, as a felony.", _F),
        Offence("weapons_trafficking", "Weapons trafficking", "Unlawful trade in firearms or other weapons.", _F),
        Offence("drug_trafficking", "Drug trafficking", "Unlawful trade in drugs.", _F),
        Offence("fentanyl_importation", "Fentanyl importation", "Bringing fentanyl or the like into the state.", _F),
        Offence("animal_cruelty_aggravated", "Aggravated animal cruelty", "Torturing or killing animals.", _F),
        Offence("burglary", "Burglary", "Breaking in to commit a crime, with nobody at home.", _F),
        Offence("felony_theft", "Theft, felony", "Theft above the felony limit.", _F),
        Offence("vehicle_theft", "Vehicle theft", "Theft of a motor vehicle.", _F),
        Offence("fraud", "Fraud, felony", "Deceiving somebody for gain above the felony limit.", _F),
        Offence("identity_theft", "Identity theft", "Using somebody else's identity unlawfully.", _F),
        Offence("extortion", "Extortion", "Demanding something by threat.", _F),
        Offence("escape", "Escape or fugitive", "Flight from custody or from a felony charge.", _F),
        Offence("fugitive_violent", "Fugitive, violent crime", "Charged in another state with a listed crime.", _F),
        Offence("wildlife_trafficking", "Wildlife trafficking", "Unlawful trade in protected animals.", _F),
        Offence("simple_assault", "Simple assault", "An attack with minor or no injury.", _VM),
        Offence("domestic_assault", "Domestic assault", "An attack on a partner or family member.", _VM),
        Offence("harassment", "Harassment", "Repeated unwanted contact.", _M),
        Offence("shoplifting", "Shoplifting", "Theft from a shop below the felony limit.", _M),
        Offence("petty_theft", "Petty theft", "Theft below the felony limit.", _M),
        Offence("vandalism", "Vandalism", "Damage to property.", _M),
        Offence("trespass", "Trespass", "Being where one may not be.", _M),
        Offence("disorderly_conduct", "Disorderly conduct", "Disturbing the peace.", _M),
        Offence("drug_possession", "Drug possession", "Having drugs for one's own use.", _M),
        Offence("impaired_driving", "Impaired driving", "Driving under the influence, nobody hurt.", _M),
        Offence("traffic_violation", "Traffic violation", "A breach of traffic rules.", OffenceClass.INFRACTION),
        Offence("ordinance_violation", "Ordinance violation", "A breach of a local rule.", OffenceClass.INFRACTION),
        Offence("threat_to_life", "Threat to human life", "Somebody's life is in danger.", OffenceClass.THREAT),
        Offence(
            "public_safety_threat",
            "Ongoing threat to public safety",
            "A crime that is a substantial and ongoing threat to the public or the nation.",
            OffenceClass.THREAT,
        ),
        Offence("missing_person_report", "Missing person report", "No crime is named yet.", OffenceClass.NO_CRIME),
        Offence("unidentified_remains", "Unidentified remains", "No crime is named yet.", OffenceClass.NO_CRIME),
        Offence("person_in_need", "Person in need of help", "Nobody is suspected of a crime.", OffenceClass.NO_CRIME),
    ]
)

LEGAL_BASES: Mapping[str, Term] = _by_code(
    [
        Term("reasonable_suspicion", "Reasonable suspicion", "Facts that make the person's part in a crime likely."),
        Term("fair_probability", "Fair probability", "Facts showing a fair probability of a connection to the crime."),
        Term("probable_cause", "Probable cause", "Facts that would support a warrant for a serious crime."),
        Term("objective_facts", "Objective, verifiable facts", "First identification of a suspect on such facts."),
        Term("court_order", "Court order", "A court ordered or allowed this search."),
        Term("warrant", "Warrant", "A judge issued a warrant that covers this search."),
        Term("authorisation", "Binding authorisation", "A judicial or independent authority allowed this search."),
        Term("exigent_circumstances", "Exigent circumstances", "Waiting would put a life at risk."),
        Term("care_of_person", "Care for a person", "A missing, dead, injured or helpless person needs a name."),
    ]
)

GALLERY_BASES: Mapping[str, Term] = _by_code(
    [
        Term("booking", "Booking photos", "Taken when somebody was lawfully arrested and booked."),
        Term("custody", "Custody photos", "Of people in prison, on probation or on parole."),
        Term("registration", "Registered offenders", "A statute orders these people to be registered with a photo."),
        Term("missing_persons", "Missing persons", "Handed in by those who look for them."),
        Term("statute", "Named by a statute", "A statute names this collection and allows face searches in it."),
        Term("court_order", "Court order", "A court allowed this collection."),
        Term("consent", "Consent", "Everybody in it agreed in writing."),
        Term("generated", "Generated people", "Portraits of nobody, drawn by a program: for trials and tests."),
    ]
)
"""Why a gallery of faces may exist at all."""

ATTACHMENT_KINDS: Mapping[str, Term] = _by_code(
    [
        Term("court_order", "Court order", "The order of a court, as issued."),
        Term("warrant", "Warrant", "The warrant, as issued."),
        Term("authorisation", "Authorisation", "The decision of the judicial or administrative authority."),
        Term("emergency_statement", "Emergency statement", "The signed statement why the search could not wait."),
        Term("missing_person_report", "Missing person report", "The report that was taken."),
        Term("other", "Other document", "Anything else that counsel or the board should see."),
    ]
)

PROBE_KINDS: Mapping[str, ProbeKind] = _by_code(
    [
        ProbeKind("photo", "Photo", "A still photo as a camera took it."),
        ProbeKind("video_still", "Still from a recording", "One frame taken from a recorded video."),
        ProbeKind("edited_photo", "Edited photo", "A photo that was cropped, turned or brightened; nothing added."),
        ProbeKind("sketch", "Sketch", "A drawing, or a face put together by hand or by software.", possible=False),
        ProbeKind("generated", "Generated image", "An image in which software made up any part.", possible=False),
        ProbeKind("recorded_video", "Recorded video", "A recording searched as a whole.", possible=False),
        ProbeKind("live_camera", "Live camera", "A running camera or stream.", possible=False),
    ]
)

CONCLUSIONS: Mapping[str, Term] = _by_code(
    [
        Term(
            "support_same", "Support for the same person", "What can be compared agrees; no difference is unexplained."
        ),
        Term("support_different", "Support for different people", "At least one difference cannot be explained away."),
        Term("inconclusive", "Inconclusive", "The photos do not show enough, or what they show points both ways."),
    ]
)
"""What an examiner may conclude about one candidate. None of them is an identification."""

FEATURES: Mapping[str, Term] = _by_code(
    [
        Term("skin", "Skin", "Tone, texture, pores, pigmentation."),
        Term("face_outline", "Outline of face and head", "The shape of the head as a whole."),
        Term("face_composition", "Composition of the face", "Where the features lie and how large they are."),
        Term("hairline", "Hairline", "Its course, and patterns of baldness."),
        Term("forehead", "Forehead", "Height, breadth, shape."),
        Term("eyebrows", "Eyebrows", "Shape, course, density."),
        Term("eyes", "Eyes", "Lids, folds, corners, distance."),
        Term("cheeks", "Cheeks", "Bones, dimples, fullness."),
        Term("nose", "Nose", "Root, bridge, tip, wings, nostrils."),
        Term("ears", "Ears", "Outline, folds, lobe."),
        Term("mouth", "Mouth", "Lips, corners, philtrum, teeth."),
        Term("chin", "Chin and jaw", "Shape, cleft, line of the jaw."),
        Term("neck", "Neck", "Length, width, Adam's apple."),
        Term("facial_hair", "Facial hair", "Beard and moustache: pattern of growth."),
        Term("facial_lines", "Lines", "Creases and wrinkles."),
        Term("scars", "Scars", "Their place and shape."),
        Term("facial_marks", "Marks", "Moles, freckles, birthmarks: their place."),
        Term("alterations", "Alterations", "Tattoos, piercings, surgery, make-up."),
    ]
)
"""What is compared in a morphological analysis, in the order of FISWG's feature list (names of the components from memory)."""
FEATURE_CHOICES = choices(FEATURES)

QUALITY_CAVEATS: Mapping[str, Term] = _by_code(
    [
        Term("resolution", "Low resolution", "Too few pixels for the details."),
        Term("blur", "Blur", "Out of focus or moved."),
        Term("pose", "Different pose", "The heads are turned differently."),
        Term("lighting", "Lighting", "Shadows or glare hide or make features."),
        Term("occlusion", "Something covers the face", "Glasses, mask, hair, hat, hand."),
        Term("compression", "Compression", "Blocks and smears of the file format."),
        Term("distortion", "Distortion", "Lens, distance or a wrong aspect ratio."),
        Term("expression", "Expression", "The face moves differently."),
        Term("age_gap", "Years between the photos", "The face may have changed."),
    ]
)
"""What limits a comparison."""

TRUTHS: Mapping[str, Term] = _by_code(
    [
        Term(
            "same_person", "The person in the photo", "Independent evidence shows that the lead is the person searched."
        ),
        Term("wrong_person", "Another person", "Independent evidence shows that the lead is not the person searched."),
        Term("not_known", "Not known", "Nothing independent of the search says who the person in the photo is."),
    ]
)
"""Who the lead was, as far as evidence independent of the search shows. What became of the case is PROCEDURES."""

PROCEDURES: Mapping[str, Term] = _by_code(
    [
        Term("no_further_action", "No further action", "The lead was not followed, or led nowhere."),
        Term("ongoing", "Investigation goes on", "The case is open."),
        Term("lineup", "Lineup", "A witness was shown photos or people."),
        Term("warrant", "Warrant sought", "The search was named in an application to a court."),
        Term("arrest", "Arrest", "The person was arrested."),
        Term("charge", "Charge", "The person was charged. A legal hold is set."),
        Term("conviction", "Conviction", "A court found the person guilty."),
        Term("acquittal", "Acquittal or dismissal", "A court acquitted, or the charge was dropped."),
        Term("closed_unresolved", "Case closed, unresolved", "The case was closed without a result."),
    ]
)
"""What became of the case. None of these says whether the lead was right."""
AGAINST_A_PERSON: frozenset[str] = frozenset({"lineup", "warrant", "arrest", "charge", "conviction"})
"""Steps that never may rest on a lead alone."""
HOLDING: frozenset[str] = frozenset({"charge", "conviction", "acquittal"})
"""Steps after which nothing about the search may be erased until two people lift the hold."""

EVIDENCE_KINDS: Mapping[str, Term] = _by_code(
    [
        Term("physical", "Physical evidence", "Fingerprints, DNA, traces."),
        Term("documents", "Documents or records", "Papers, accounts, bookings, phone records."),
        Term("location", "Location", "Where somebody or their device was."),
        Term("witness", "Witness who was not shown the lead", "Somebody who knew the person without the search."),
        Term("statement", "Statement of the person", "A confession or an explanation."),
        Term("found_property", "Things found", "Stolen goods, weapon, clothes."),
        Term("alibi", "Alibi", "The person was elsewhere."),
        Term("other_suspect", "Another person was found", "It was shown to be somebody else."),
    ]
)
"""What is independent of the search. A lineup after a lead is not."""

APPROVER_ROLES = frozenset({"supervisor", "counsel"})
"""Roles that a law pack may ask an approval of."""
