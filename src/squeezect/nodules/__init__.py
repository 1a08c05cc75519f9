"""Nodules cut from real scans, kept in a bank, and put into other lungs."""

from squeezect.nodules.bank import Bank, Nodule
from squeezect.nodules.building import build_bank
from squeezect.nodules.inserting import Implant, erase_nodule, insert_nodule_into_scan
from squeezect.nodules.placing import find_place
from squeezect.nodules.shape import Body, Pose, body_of, random_pose

__all__ = [
    "Bank",
    "Body",
    "Implant",
    "Nodule",
    "Pose",
    "body_of",
    "build_bank",
    "erase_nodule",
    "find_place",
    "insert_nodule_into_scan",
    "random_pose",
]
