(** Equivariance, invariance of the loss, and three coefficients for all time.

    Label of the book        theorem here
    lem-equivariance         network_equivariant
    lem-law-symmetric        law_symmetric
    prop-gradient-equivariant  loss_invariant, population_loss_invariant, gradient_equivariant
    thm-three-coefficients   descent_keeps_symmetry (any group), three_coefficients

    moved g A is Pi A Pi^T.  The score, the activation and the loss are any functions (the loss may
    depend on the label in any way), deriv is any functional in the place of the derivative of a
    function of one variable, opt any optimizer that treats entries alike and may remember: gradient
    descent with any step sizes, momentum, Adam.  What v does is left open: next is any rule. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From Formal Require Import model orbitals.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory.
Local Open Scope ring_scope.

Definition moved (T : finType) (K : Type) (g : {perm T}) (A : T -> T -> K) i j :=
  A (g^-1%g i) (g^-1%g j).

Lemma reindex_perm (R : zmodType) (T : finType) (g : {perm T}) (f : T -> R) :
  \sum_i f i = \sum_i f (g i).
Proof. by rewrite (reindex_inj (@perm_inj _ g)). Qed.

Section Network.
Variables (R : fieldType) (T : finType) (score act : R -> R) (g : {perm T}).
Variables (A : T -> T -> R) (x y : T -> R).
Hypothesis moved_image : forall j, y (g j) = x j.

Theorem network_equivariant : network score act (moved g A) y = network score act A x.
Proof.
rewrite /network (reindex_perm g); apply: eq_bigr => i _; congr (act (_ * _)).
rewrite (reindex_perm g); apply: eq_bigr => j _; congr (_ * _); last exact: moved_image.
by rewrite /attention /moved (reindex_perm g) !permK; under eq_bigr do rewrite permK.
Qed.
End Network.

(** Any finite law: h exchanges outcomes of equal probability, one with the moved image of other. *)
Section Loss.
Variables (R : fieldType) (T W : finType) (score act : R -> R) (phi : bool -> R -> R).
Variables (prob : W -> R) (label : W -> bool) (x : W -> T -> R).

Definition loss A := population prob (fun o => phi (label o) (network score act A (x o))).

Lemma eq_loss A B : A =2 B -> loss A = loss B.
Proof. by move=> eqA; apply: eq_bigr => o _; rewrite (eq_network score act eqA (frefl _)). Qed.

Definition symmetric_law (g : {perm T}) (h : W -> W) :=
  [/\ bijective h, prob \o h =1 prob, label \o h =1 label & forall o j, x (h o) (g j) = x o j].

Theorem loss_invariant g h A : symmetric_law g h -> loss (moved g A) = loss A.
Proof.
case=> h_bij prob_h label_h x_h; rewrite /loss /population (reindex h) /=; last first.
  exact: onW_bij.
apply: eq_bigr => o _; rewrite (network_equivariant _ _ _ (x_h o)).
by rewrite [prob _]prob_h [label _]label_h.
Qed.
End Loss.

(** lem-law-symmetric: the law of Assumption 1, with noise of any finite law, iid over patches. *)
Section Assumption1.
Variables (R : fieldType) (T I N P : finType) (part : T -> I) (q : R).
Variables (mu : N -> R) (w : P -> R) (xi : N -> P -> R).
Hypothesis every_set : forall k, exists i, part i = k.

Lemma moved_sets g : g \in wreath part -> exists s : {perm I}, forall i, part (g i) = s (part i).
Proof.
move=> /wreathP keep; have [rep repK] := fin_all_exists every_set.
have s_inj : injective (fun k => part (g (rep k))).
  by move=> k l /eqP; rewrite keep !repK => /eqP.
by exists (perm s_inj) => i; rewrite permE; apply/eqP; rewrite keep repK.
Qed.

Definition move_outcome (g : {perm T}) (s : {perm I}) (o : outcome T I N) : outcome T I N :=
  (label o, s (signal o), [ffun j => delta o (g^-1%g j)], [ffun j => noise o (g^-1%g j)]).

Lemma move_outcomeK g s : cancel (move_outcome g s) (move_outcome g^-1 s^-1).
Proof.
move=> [[[y l] d] n]; rewrite /move_outcome /= permK; congr (_, _, _, _);
  by apply/ffunP=> j; rewrite !ffunE invgK permK.
Qed.

Theorem law_symmetric g : g \in wreath part ->
  exists h, forall v, symmetric_law (prob part q mu) (@label T I N)
    (fun o j => dot v (patch w xi o j)) g h.
Proof.
move=> /moved_sets[s gs]; exists (move_outcome g s) => v; split=> // [|o|o j].
- exists (move_outcome g^-1 s^-1); first exact: move_outcomeK.
  by have := @move_outcomeK g^-1 s^-1; rewrite !invgK.
- rewrite /prob /mass /=; congr (_ * _ * _); rewrite (reindex_inj (@perm_inj _ g)).
    by apply: eq_bigr => j _; rewrite ffunE permK gs (inj_eq perm_inj).
  by apply: eq_bigr => j _; rewrite ffunE permK.
- by apply: eq_bigr => k _; rewrite /patch !ffunE permK.
Qed.

Variables (score act : R -> R) (phi : bool -> R -> R).

Definition population_loss (v : P -> R) : (T -> T -> R) -> R :=
  loss score act phi (prob part q mu) (@label T I N) (fun o j => dot v (patch w xi o j)).

Theorem population_loss_invariant g v A : g \in wreath part ->
  population_loss v (moved g A) = population_loss v A.
Proof. by move=> /law_symmetric[h /(_ v)]; apply: loss_invariant. Qed.
End Assumption1.

(** Gradients, entry by entry. *)
Section Gradient.
Variables (T : finType) (K : Type) (deriv : (K -> K) -> K -> K).
Hypothesis eq_deriv : forall f f', f =1 f' -> deriv f =1 deriv f'.
Implicit Types (A B : T -> T -> K).

Definition put A i j a := fun i' j' => if (i' == i) && (j' == j) then a else A i' j'.
Definition gradient (l : (T -> T -> K) -> K) A i j := deriv (fun a => l (put A i j a)) (A i j).

Variable l : (T -> T -> K) -> K.
Hypothesis eq_l : forall A B, A =2 B -> l A = l B.

Lemma eq_gradient A B : A =2 B -> gradient l A =2 gradient l B.
Proof.
move=> eqA i j; rewrite /gradient eqA; apply: eq_deriv => a; apply: eq_l => i' j'.
by rewrite /put eqA.
Qed.

Theorem gradient_equivariant g A : (forall B, l (moved g B) = l B) ->
  forall i j, gradient l (moved g A) (g i) (g j) = gradient l A i j.
Proof.
move=> inv i j; rewrite /gradient {2}/moved !permK; apply: eq_deriv => a.
rewrite -[RHS]inv; apply: eq_l => i' j'.
by rewrite /put /moved -!(canF_eq (permKV g)).
Qed.
End Gradient.

(** Descent from any start; the diagonal is fixed. *)
Section Descent.
Variables (T : finType) (K V Memory : Type) (grad : V -> (T -> T -> K) -> T -> T -> K).
Hypothesis eq_grad : forall v A B, A =2 B -> grad v A =2 grad v B.
Variable opt : nat -> K -> Memory -> K -> K * Memory. (* time, gradient, memory, entry *)
Variable next : nat -> (T -> T -> K) -> V -> V.

Record state := State { logits : T -> T -> K; memory : T -> T -> Memory; others : V }.

Definition step t s :=
  let move i j := opt t (grad (others s) (logits s) i j) (memory s i j) (logits s i j) in
  State (fun i j => if i == j then logits s i j else (move i j).1)
        (fun i j => if i == j then memory s i j else (move i j).2)
        (next t (logits s) (others s)).

Fixpoint path s0 t := if t is t'.+1 then step t' (path s0 t') else s0.

Definition equivariant (g : {perm T}) :=
  forall v A i j, grad v (moved g A) (g i) (g j) = grad v A i j.

Theorem descent_keeps_symmetry g s0 : equivariant g ->
  (forall i j, logits s0 (g i) (g j) = logits s0 i j) ->
  (forall i j, memory s0 (g i) (g j) = memory s0 i j) ->
  forall t i j, logits (path s0 t) (g i) (g j) = logits (path s0 t) i j /\
                memory (path s0 t) (g i) (g j) = memory (path s0 t) i j.
Proof.
move=> equi A0 M0; elim=> [|t IH] i j //=; rewrite (inj_eq perm_inj).
have [eA eM] := IH i j; case: eqP => // _; rewrite eA eM.
suff -> : grad (others (path s0 t)) (logits (path s0 t)) (g i) (g j) =
          grad (others (path s0 t)) (logits (path s0 t)) i j by [].
rewrite -[RHS]equi; apply: eq_grad => a b.
by rewrite /moved -(IH (g^-1%g a) (g^-1%g b)).1 !permKV.
Qed.

(** Sets of C patches each: three coefficients. *)
Variables (I : finType) (part : T -> I) (C : nat).
Hypotheses (eqC : equal part C) (equi : forall g, g \in wreath part -> equivariant g).
Variables (sigma_A gamma0 rho0 : K) (m0 : Memory) (v0 : V).

Let start := State (levels part sigma_A gamma0 rho0) (fun _ _ => m0) v0.
Let A t := logits (path start t).
Let move t i j := opt t (grad (others (path start t)) (A t) i j) (memory (path start t) i j).

Definition stays_in_three_coefficients (gamma rho : nat -> K) :=
  [/\ gamma 0%N = gamma0 /\ rho 0%N = rho0,
      forall t, A t =2 levels part sigma_A (gamma t) (rho t),
      forall t i j, i != j -> part i = part j -> gamma t.+1 = (move t i j (gamma t)).1 &
      forall t i j, part i != part j -> rho t.+1 = (move t i j (rho t)).1].

Lemma three_coefficients_of_equivariance : exists gamma rho, stays_in_three_coefficients gamma rho.
Proof.
have keeps t g : g \in wreath part -> forall i j, A t (g i) (g j) = A t i j.
  move=> gG i j; have A0 a b : logits start (g a) (g b) = logits start a b.
    by rewrite /= /levels (inj_eq perm_inj) (wreathP _ _ gG).
  by have [] := descent_keeps_symmetry (equi gG) A0 (fun _ _ => erefl) t i j.
have diagonal t i : A t i i = sigma_A.
  by rewrite /A; elim: t => [|t IH] /=; rewrite ?eqxx // /levels eqxx.
pose gamma t := entry_at part gamma0 (A t) (false, true).
pose rho t := entry_at part rho0 (A t) (false, false).
have form t : A t =2 levels part sigma_A (gamma t) (rho t).
  move=> i j; rewrite (invariant_levels eqC sigma_A gamma0 rho0 (keeps t)) /levels.
  by case: ifP => // _; rewrite /entry_at; case: pickP => // -[a b] /= /eqP[/eqP-> _].
exists gamma, rho; split=> // [|t i j nij eqp|t i j np].
- split; rewrite /gamma /rho /entry_at /A /= /levels; case: pickP => // -[i j] /=.
    by move=> /eqP[-> ->].
  by move=> /eqP[-> ->].
- have := form t.+1 i j; have := form t i j.
  by rewrite /levels /A /= (negbTE nij) eqp eqxx => <- <-.
- have nij : i != j by apply: contraNneq np => ->.
  have := form t.+1 i j; have := form t i j.
  by rewrite /levels /A /= (negbTE nij) (negbTE np) => <- <-.
Qed.
End Descent.

(** thm-three-coefficients for the network of the book and its law, with any functional in the
    place of the derivative; gradient.v has the genuine one. *)
Section ThreeCoefficients.
Variables (R : fieldType) (T I N P : finType) (part : T -> I) (C : nat).
Hypotheses (eqC : equal part C) (C_gt0 : (0 < C)%N).
Variables (q : R) (mu : N -> R) (w : P -> R) (xi : N -> P -> R).
Variables (score act : R -> R) (phi : bool -> R -> R).
Variable deriv : (R -> R) -> R -> R.
Hypothesis eq_deriv : forall f f', f =1 f' -> deriv f =1 deriv f'.
Variables (Memory : Type) (opt : nat -> R -> Memory -> R -> R * Memory).
Variable next : nat -> (T -> T -> R) -> (P -> R) -> P -> R.
Variables (sigma_A gamma0 rho0 : R) (m0 : Memory) (v0 : P -> R).

Theorem three_coefficients : exists gamma rho, stays_in_three_coefficients
  (fun v => gradient deriv (population_loss part q mu w xi score act phi v))
  opt next part sigma_A gamma0 rho0 m0 v0 gamma rho.
Proof.
have every_set k : exists i, part i = k by apply: block_has eqC C_gt0.
apply: three_coefficients_of_equivariance eqC _ _ _ _ _ _ => [v A B|g gG v A i j].
  by apply: eq_gradient => // A' B'; apply: eq_loss.
by apply: gradient_equivariant => // [A' B'|B]; [apply: eq_loss | apply: population_loss_invariant].
Qed.
End ThreeCoefficients.
