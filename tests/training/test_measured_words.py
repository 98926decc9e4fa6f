"""What a training measured, in words."""

from foveate.training.measured_words import epoch_words, held_out_words


def test_cross_validated_accuracy_is_told_without_the_names_of_the_files() -> None:
    s3n = {"strength/original": 0.03, "held-out/original/top1": 0.7767, "held-out/original/loss": 0.7}
    s3n |= {"held-out/joint/top1": 0.838, "held-out/nearest mean": 0.75}
    start = "right, cross-validated on the training photographs: "
    assert held_out_words(s3n) == f"{start}first look 77.7%, joint 83.8%, nearest mean 75.0%"
    probe = {"strength": 0.1, "held-out/top1": 0.8, "held-out/loss": 0.5, "held-out/nearest neighbours": 0.7}
    assert held_out_words(probe) == f"{start}this network 80.0%, nearest neighbours 70.0%"
    assert held_out_words({"strength": 0.1}) is None


def test_an_epoch() -> None:
    measured = {"train/loss": 1.25, "validation/loss": 2.0, "validation/top1": 0.8321}
    assert epoch_words(measured) == "training loss 1.2500, validation loss 2.0000, validation top-1 83.21%"
