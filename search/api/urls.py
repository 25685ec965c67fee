"""Addresses of cases, searches, galleries and rules below /api/v1/."""

from __future__ import annotations

from django.urls import path

from search.api import cases, decisions, galleries, probes, readings, requests, reviews, rules, thresholds

urlpatterns = [
    path("cases/", cases.Cases.as_view(), name="cases"),
    path("cases/import/", cases.CaseImport.as_view(), name="case_import"),
    path("cases/<uuid:case_id>/", cases.CaseDetail.as_view(), name="case"),
    path("cases/<uuid:case_id>/confirm/", cases.CaseConfirm.as_view(), name="case_confirm"),
    path("cases/<uuid:case_id>/close/", cases.CaseClose.as_view(), name="case_close"),
    path("cases/<uuid:case_id>/reopen/", cases.CaseReopen.as_view(), name="case_reopen"),
    path("cases/<uuid:case_id>/officers/", cases.CaseOfficers.as_view(), name="case_officers"),
    path("requests/", requests.Requests.as_view(), name="requests"),
    path("requests/<uuid:request_id>/", requests.RequestDetail.as_view(), name="request"),
    path("requests/<uuid:request_id>/probe/", probes.Probe.as_view(), name="probe"),
    path("requests/<uuid:request_id>/probe/crop/", probes.ProbeCrop.as_view(), name="probe_crop"),
    path("requests/<uuid:request_id>/faces/", probes.Faces.as_view(), name="faces"),
    path("requests/<uuid:request_id>/face/", probes.ChosenFace.as_view(), name="chosen_face"),
    path("requests/<uuid:request_id>/attachments/", probes.Attachments.as_view(), name="attachments"),
    path(
        "requests/<uuid:request_id>/attachments/<uuid:attachment_id>/",
        probes.AttachmentFile.as_view(),
        name="attachment",
    ),
    path("requests/<uuid:request_id>/submit/", requests.RequestSubmit.as_view(), name="request_submit"),
    path("requests/<uuid:request_id>/withdraw/", requests.RequestWithdraw.as_view(), name="request_withdraw"),
    path("requests/<uuid:request_id>/quality/", requests.RequestQuality.as_view(), name="request_quality"),
    path("requests/<uuid:request_id>/approve/", decisions.RequestApprove.as_view(), name="request_approve"),
    path("requests/<uuid:request_id>/reject/", decisions.RequestReject.as_view(), name="request_reject"),
    path("requests/<uuid:request_id>/clear/", decisions.RequestClear.as_view(), name="request_clear"),
    path("requests/<uuid:request_id>/uphold/", decisions.RequestUphold.as_view(), name="request_uphold"),
    path("requests/<uuid:request_id>/readings/", readings.Readings.as_view(), name="request_readings"),
    path("requests/<uuid:request_id>/review/", reviews.OneReview.as_view(), name="review"),
    path("requests/<uuid:request_id>/decisions/", reviews.Decisions.as_view(), name="review_decide"),
    path("reviews/", reviews.ReviewsWaiting.as_view(), name="reviews"),
    path("requests/<uuid:request_id>/receipts/", readings.Receipts.as_view(), name="receipts"),
    path("requests/<uuid:request_id>/receipts/<slug:kind>/", readings.Receipt.as_view(), name="receipt"),
    path(
        "requests/<uuid:request_id>/receipts/<slug:kind>/entry/", readings.ReceiptEntry.as_view(), name="receipt_entry"
    ),
    path("requests/<uuid:request_id>/replay/", readings.Replay.as_view(), name="request_replay"),
    path("approvals/", decisions.Approvals.as_view(), name="approvals"),
    path("holds/", decisions.Holds.as_view(), name="holds"),
    path("photos-to-accept/", requests.PhotosToAccept.as_view(), name="photos_to_accept"),
    path("results/", readings.ResultsToRead.as_view(), name="results"),
    path("readings/<uuid:view>/photos/<uuid:template>/", readings.CandidatePhoto.as_view(), name="candidate_photo"),
    path("readings/<uuid:view>/crops/<uuid:template>/", readings.CandidateCrop.as_view(), name="candidate_crop"),
    path("galleries/", galleries.Galleries.as_view(), name="galleries"),
    path("galleries/<uuid:gallery_id>/", galleries.GalleryDetail.as_view(), name="gallery"),
    path("galleries/<uuid:gallery_id>/editions/", galleries.Editions.as_view(), name="editions"),
    path(
        "galleries/<uuid:gallery_id>/editions/<int:edition>/current/",
        galleries.CurrentEdition.as_view(),
        name="edition_switch",
    ),
    path("galleries/<uuid:gallery_id>/removals/", galleries.Removals.as_view(), name="removals"),
    path(
        "galleries/<uuid:gallery_id>/people/<uuid:enrolled_id>/expunge/",
        galleries.Expungement.as_view(),
        name="expungement",
    ),
    path("galleries/<uuid:gallery_id>/enrolments/", galleries.Enrolments.as_view(), name="enrolments"),
    path("enrolments/<uuid:enrolment_id>/", galleries.EnrolmentDetail.as_view(), name="enrolment"),
    path("enrolments/<uuid:enrolment_id>/discard/", galleries.EnrolmentDiscard.as_view(), name="enrolment_discard"),
    path("face-models/", galleries.FaceModels.as_view(), name="face_models"),
    path("face-models/<slug:model_hash>/licence/", galleries.FaceModelLicence.as_view(), name="face_model_licence"),
    path("law-packs/", rules.LawPacks.as_view(), name="law_packs"),
    path("law-packs/<slug:code>/requirements/", rules.Requirements.as_view(), name="requirements"),
    path("vocabulary/", rules.Vocabulary.as_view(), name="vocabulary"),
    path("limits/", thresholds.Limits.as_view(), name="limits"),
    path("limits/<slug:name>/", thresholds.Limit.as_view(), name="limit"),
    path("evaluations/<uuid:evaluation_id>/adopt/", thresholds.Adoption.as_view(), name="evaluation_adopt"),
]
