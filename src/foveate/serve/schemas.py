"""What the API answers with."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ClassShare(BaseModel):
    """A class, and how probable it is."""

    class_name: str
    number: int = Field(description="Of the class, counted from 0, in the order of the model's classes.")
    probability: float = Field(ge=0, le=1)


class Answer(BaseModel):
    """What is in a photograph."""

    photograph: str = Field(description="The name of its file.")
    top: list[ClassShare] = Field(description="The best classes, the best first.")
    entropy: float = Field(description="Of all classes' probabilities, in nats.")
    warning: str | None = Field(default=None, description="That next to nothing can be seen in it.")


class JointAnswer(BaseModel):
    """What several photographs of one object say together: the softmax of the mean of their log probabilities."""

    photographs: int
    top: list[ClassShare]
    entropy: float


class Predicted(BaseModel):
    """The answers to a request's photographs, in their order."""

    answers: list[Answer]
    together: JointAnswer | None = Field(default=None, description="Where that was asked for.")
    refined: bool = Field(description="Whether the evidence of a Guided Zoom has decided.")
    seconds: float


class Rectangle(BaseModel):
    """A part of a picture, as shares of its sides: 0 is left and top, 1 right and bottom."""

    left: float
    top: float
    right: float
    bottom: float


class Picture(BaseModel):
    """A picture as a data: address."""

    source: str
    width: int
    height: int


class ClassMap(BaseModel):
    """Where a class is seen: a picture to lay over the window of the photograph, clear where nothing is."""

    class_name: str
    picture: Picture


class Twins(BaseModel):
    """Where the evidence lies for one of two classes and not the other, both on one scale."""

    words: str = Field(description="Why these two.")
    first: ClassShare
    second: ClassShare
    for_first: Picture
    for_second: Picture
    most_for_first: float = Field(
        description="Where most speaks for it, as a share of the larger of the two, in [0, 1]."
    )
    most_for_second: float


class Panel(BaseModel):
    """A picture, and what it shows."""

    picture: Picture
    words: str


class PanelGroup(BaseModel):
    """Pictures that belong together."""

    title: str
    words: str
    panels: list[Panel]


class TrainingPatch(BaseModel):
    """Evidence in a training photograph."""

    photograph: str
    distance: float = Field(description="1 - cosine of the Evidence CNN's features, in [0, 2].")
    picture: Picture


class EvidenceRound(BaseModel):
    """The evidence for one class that one round found."""

    box: Rectangle = Field(description="In shares of the window, not of the photograph.")
    patch: Picture
    probability: float = Field(description="The Evidence CNN's for the class.")
    nearest: TrainingPatch | None


class EvidenceForClass(BaseModel):
    """How a Guided Zoom judged one class."""

    class_name: str
    chosen: bool
    terms: list[float] = Field(description="Of the score: the weighted first answer, then each weighted round.")
    score: float
    rounds: list[EvidenceRound]


class ZoomEvidence(BaseModel):
    """What a Guided Zoom decided by."""

    reason: str
    changed: bool = Field(description="Whether the evidence changed the answer.")
    classes: list[EvidenceForClass]


class Explained(BaseModel):
    """The answer to a photograph, with its evidence."""

    answer: Answer
    first_answer: ClassShare | None = Field(
        description="Of a Guided Zoom whose evidence has decided: the best class of its network before that."
    )
    refined: bool
    photograph: Picture
    window: Rectangle = Field(description="What the network looks at.")
    maps: list[ClassMap]
    twins: Twins | None
    without_twins: str | None = Field(description="Why there is no twin, where no other class comes near the best.")
    groups: list[PanelGroup] = Field(description="What else the network looked at, such as S3N's views.")
    evidence: ZoomEvidence | None = Field(description="Of a Guided Zoom whose evidence has decided.")
    seconds: float


class ModelFacts(BaseModel):
    """What answers."""

    name: str
    method: str
    dataset: str
    class_names: list[str]
    refines: bool = Field(description="Whether it is a Guided Zoom, whose evidence can be left out (refine=false).")
    training_photographs: bool = Field(description="Whether a typical photograph of each class is shown.")
    largest_megabytes: float
    largest_megapixels: int
    photographs: int = Field(description="Of one request, at most.")
    needs_key: bool


class Fault(BaseModel):
    """Why a request is not answered."""

    code: str = Field(description="A word for programs.")
    sentence: str = Field(description="For people.")
    photograph: int | None = Field(default=None, description="Which one it is about, counted from 0.")


class Refused(BaseModel):
    """What a request that is not answered gets."""

    error: Fault


class Status(BaseModel):
    """Whether the server lives, or answers."""

    status: str
